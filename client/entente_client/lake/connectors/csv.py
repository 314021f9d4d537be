"""Comma-separated files: UTF-8, one header line, quotes as in RFC 4180."""

from __future__ import annotations

from pathlib import Path

import polars as pl

from entente_client.lake.connectors.registry import connector
from entente_common.errors import DataProblem


@connector("csv")
def read_csv(source: Path) -> pl.DataFrame:
    """The rows of a CSV file, every column as text.

    Raises:
        DataProblem: The file is missing, empty, not UTF-8, or its lines differ in length.
    """
    try:
        return pl.read_csv(source, infer_schema=False)
    except FileNotFoundError:
        raise DataProblem(f"There is no file {source}.", hint="Check the path.") from None
    except pl.exceptions.NoDataError:
        raise DataProblem(f"{source} is empty.", hint="Export the data again.") from None
    except OSError as error:
        raise DataProblem(
            f"{source} cannot be read: {error.strerror}.", hint="Check its permissions."
        ) from None
    except pl.exceptions.PolarsError:
        # The parser's own message may quote a line of the data, so it is not passed on.
        raise DataProblem(
            f"{source} is not a UTF-8 CSV table whose lines all have as many fields as its header.",
            hint="Export it as UTF-8 CSV with a header line and quoted text fields.",
        ) from None

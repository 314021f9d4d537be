"""The agent's settings, `agent.json`: which site this is and where its coordinator answers.

The file is written last when a site enrols, so its presence means that the enrolment is complete.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final, Literal

from pydantic import Field

from entente_common.contracts.document import Document, admit_text
from entente_common.contracts.fields import ApiVersion, Moment, Slug
from entente_common.contracts.site import Coordinator
from entente_common.errors import DataDirectoryProblem, InvalidSettings
from entente_common.identity.atomic_file import PRIVATE, write_atomically

SETTINGS_FILE: Final = "agent.json"


class AgentSettings(Document):
    """What an agent keeps of its enrolment besides keys and certificates."""

    api_version: ApiVersion = Field(default="entente/v1", alias="apiVersion")
    kind: Literal["Agent"] = "Agent"
    site: Slug = Field(description="The site's name, as its certificate says.")
    coordinator: Coordinator = Field(description="Where the coordinator answers.")
    enrolled_at: Moment = Field(description="When the site enrolled.")

    @classmethod
    def load(cls, directory: Path) -> AgentSettings:
        """The settings in `directory`.

        Raises:
            DataDirectoryProblem: The directory belongs to no enrolled site.
            InvalidSettings: The file is damaged; every fault is listed.
        """
        path = directory / SETTINGS_FILE
        try:
            text = path.read_text(encoding="utf-8")
        except FileNotFoundError:
            raise DataDirectoryProblem(
                f"{directory} belongs to no enrolled site.",
                hint="Enrol first: `entente agent enrol --dir DIR --invitation FILE`.",
            ) from None
        except (OSError, UnicodeDecodeError) as fault:
            raise DataDirectoryProblem(f"{path} cannot be read: {fault}.") from fault
        return admit_text(cls, text, source=str(path), error=InvalidSettings)

    def store(self, directory: Path) -> None:
        """Write the settings in one step.

        Raises:
            DataDirectoryProblem: The file cannot be written.
        """
        content = self.model_dump_json(indent=2).encode() + b"\n"
        write_atomically(directory / SETTINGS_FILE, content, mode=PRIVATE)

"""The contract shown in docs/data.md works as printed."""

from pathlib import Path

from entente_client.lake.catalogue import Catalogue

GUIDE = Path(__file__).parents[3] / "docs" / "data.md"
ROWS = """cp,sex,age,trestbps,target,patient
4,male,63,145.5,1,P-0012
1,female,41.0,120,0,P-0047
"""


def test_the_contract_of_the_guide_admits_rows_as_the_guide_says(tmp_path):
    printed = GUIDE.read_text(encoding="utf-8").split("```yaml\n")[1].split("```")[0]
    contract, source = tmp_path / "heart.yaml", tmp_path / "heart.csv"
    contract.write_text(printed, encoding="utf-8")
    source.write_text(ROWS, encoding="utf-8")
    catalogue = Catalogue(tmp_path / "datasets")
    card = catalogue.add("cardiology", contract=contract, source=source)
    assert (card.contract, card.rows, card.columns) == ("heart@1", 2, 6)
    assert catalogue.open("heart@1").frame.rows()[0] == ("P-0012", 63, 145.5, "4", "male", "1")

"""What verify says of a notebook or a grader that did not come to its end."""

import json
import xml.etree.ElementTree as ET

import pytest

from rabbitlab import units, verify

AT_ONCE = 0.01  # seconds: nothing is through by then


@pytest.fixture
def unit() -> units.Unit:
    return units.find_one("1/ex_01")


def test_a_grading_without_an_end_is_one_proof_missed(unit, monkeypatch):
    monkeypatch.setattr(verify, "GRADED_WITHIN", AT_ONCE)
    for what, prove in verify.tasks(unit):
        proof = prove()
        assert (proof.what, proof.ok) == (what, False)
        assert "no end within" in proof.saw or what == "stub"


def test_notebooks_without_an_end_are_proofs_missed(unit, monkeypatch):
    monkeypatch.setattr(verify, "RUN_WITHIN", AT_ONCE)
    (proof,) = verify._notebooks([unit], None)
    assert not proof.ok


@pytest.mark.cluster
def test_whoever_waits_for_notebooks_is_told_how_far_they_are():
    told = []
    assert verify.run_notebooks([units.find_one("1/04").notebook], told.append) == 0
    assert told == sorted(told)
    assert told[-1] == 1
    assert len(told) > 3


def test_a_notebook_is_proven_by_all_its_cells(unit, tmp_path):
    cells = [cell for cell in json.loads(unit.notebook.read_text())["cells"] if cell["cell_type"] == "code"]
    report = tmp_path / "notebooks.xml"

    def proof_of(number: int) -> verify.Proof:
        suite = ET.Element("testsuite")
        for cell in range(number):
            name = unit.notebook.relative_to(units.ROOT).as_posix().replace("/", ".")
            ET.SubElement(suite, "testcase", classname=name, name=f"Cell {cell}", time="0.5")
        ET.ElementTree(suite).write(report)
        return verify._notebooks([unit], report)[0]

    assert proof_of(len(cells)).ok
    assert not proof_of(len(cells) - 1).ok
    assert f"{len(cells) - 1} of its {len(cells)} cells" in proof_of(len(cells) - 1).saw

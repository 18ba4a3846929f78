import json

import pytest

from thresher.cli.main import main


def test_the_demo_ends_with_a_table_and_a_report(capsys, monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))  # of what layers cost on this machine
    kept = []
    monkeypatch.setattr("thresher.cli.demo.keep_freed_memory", lambda: kept.append(True))
    with pytest.raises(SystemExit) as stop:
        main(["demo", "--out", str(tmp_path)])
    assert not stop.value.code
    assert kept == [True]
    out = capsys.readouterr().out
    results = {m: json.loads((tmp_path / "seed0" / m / "result.json").read_text()) for m in ("dense", "random", "snip")}
    for method, result in results.items():
        assert method in out
        assert f"{result['test_error_final_pct']:.2f} %" in out
    assert results["snip"]["kept"] == results["random"]["kept"] == round(0.03 * 50200)
    # the reason to prune by a criterion at all
    assert results["snip"]["test_error_final_pct"] < results["random"]["test_error_final_pct"]
    assert out.rstrip().endswith("snip/report.html")
    assert "<svg" in (tmp_path / "seed0" / "snip" / "report.html").read_text()
    with pytest.raises(SystemExit):
        main(["demo", "--out", str(tmp_path), "--json"])
    last = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert last["runs"]["snip"]["test_error_final_pct"] == results["snip"]["test_error_final_pct"]

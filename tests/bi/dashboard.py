"""The dashboard "Hospitals": charts over the demo federation as an author makes them, and what they look like.

    python -m tests.bi.dashboard ENVIRONMENT PICTURE

draws it anew (`make picture`): ENVIRONMENT is that of Superset, and Debian's chromium with its driver is needed.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any
from urllib.parse import quote

from fedsql import demo
from tests.bi.portal import ADMIN, Superset, metric
from tests.flight.accounts import PASSWORD
from tests.flight.world import gateway

_SHOOT = Path(__file__).with_name("shoot.py")
_BARS = {
    "xAxisForceCategorical": True,
    "x_axis_sort_asc": True,
    "row_limit": 1000,
    "show_legend": True,
}
PERSONS = {**metric("COUNT_DISTINCT", "person"), "label": "patients"}
# Title, kind, width of 12, parameters. The first row, and the second.
CHARTS: list[list[tuple[str, str, int, dict[str, Any]]]] = [
    [
        ("Patients of three hospitals", "big_number_total", 3, {"metric": PERSONS, "y_axis_format": ",d"}),
        (
            "Visits to a physician, by what the patient pays of the bill (percent)",
            "echarts_timeseries_bar",
            9,
            {
                "x_axis": "coinsurance",
                "groupby": ["sex"],
                "metrics": [{**metric("AVG", "visits"), "label": "visits a year"}],
                **_BARS,
            },
        ),
    ],
    [
        ("Patients by their own opinion of their health", "pie", 5, {"groupby": ["health"], "metric": PERSONS}),
        (
            "Cost of a patient's year (dollars)",
            "echarts_timeseries_bar",
            7,
            {
                "x_axis": "health",
                "groupby": [],
                "metrics": [{**metric("AVG", each), "label": each} for each in ("inpatient", "outpatient", "drugs")],
                "stack": "Stack",
                "x_axis_sort": "inpatient",
                **_BARS,
            },
        ),
    ],
]


def database(superset: Superset, uri: str, name: str = "hospitals") -> int:
    """Add a gateway as a database; return its id."""
    made = {"sqlalchemy_uri": uri, "database_name": name, "expose_in_sqllab": True, "cache_timeout": 86400}
    return int(superset.post("/api/v1/database/", made)["id"])


def dataset(superset: Superset, database_id: int) -> int:
    """Add main.patients as a dataset; return its id."""
    made = superset.post("/api/v1/dataset/", {"database": database_id, "schema": "main", "table_name": "patients"})
    return int(made["id"])


def dashboard(superset: Superset, dataset_id: int) -> int:
    """Make all charts and the dashboard; return its id."""
    board = superset.post("/api/v1/dashboard/", {"dashboard_title": "Hospitals", "published": True})["id"]
    layout: dict[str, Any] = {
        "DASHBOARD_VERSION_KEY": "v2",
        "ROOT_ID": {"type": "ROOT", "id": "ROOT_ID", "children": ["GRID_ID"]},
        "GRID_ID": {"type": "GRID", "id": "GRID_ID", "children": [], "parents": ["ROOT_ID"]},
        "HEADER_ID": {"type": "HEADER", "id": "HEADER_ID", "meta": {"text": "Hospitals"}},
    }
    for number, charts in enumerate(CHARTS):
        row, above = f"ROW-{number}", ["ROOT_ID", "GRID_ID"]
        layout["GRID_ID"]["children"].append(row)
        meta = {"background": "BACKGROUND_TRANSPARENT"}
        layout[row] = {"type": "ROW", "id": row, "children": [], "parents": above, "meta": meta}
        for title, kind, width, parameters in charts:
            given = {"viz_type": kind, "datasource": f"{dataset_id}__table", "adhoc_filters": [], **parameters}
            chart = {"slice_name": title, "viz_type": kind, "params": json.dumps(given), "dashboards": [board]}
            chart |= {"datasource_id": dataset_id, "datasource_type": "table"}
            made = superset.post("/api/v1/chart/", chart)["id"]
            name = f"CHART-{made}"
            layout[row]["children"].append(name)
            meta = {"chartId": made, "width": width, "height": 38, "sliceName": title}
            layout[name] = {"type": "CHART", "id": name, "children": [], "parents": [*above, row], "meta": meta}
    superset.put(f"/api/v1/dashboard/{board}", {"position_json": json.dumps(layout)})
    return int(board)


def picture(superset: Superset, board: int, file: Path) -> None:
    """Write what a dashboard looks like at 1200 x 800."""
    charts = sum(map(len, CHARTS))
    path = f"/superset/dashboard/{board}/"
    given = {"address": superset.address, "name": ADMIN, "password": superset.password, "path": path}
    # A number is text, all other charts are drawn.
    given |= {"drawn": {".slice_container": charts, ".slice_container canvas": charts - 1}}
    given |= {"file": str(file.absolute())}
    subprocess.run([superset.venv / "bin" / "python", _SHOOT], input=json.dumps(given), text=True, check=True)


def main(venv: Path, file: Path) -> None:
    with tempfile.TemporaryDirectory() as folder, gateway(demo.write(Path(folder) / "demo", noise=False)) as service:
        superset = Superset(venv, Path(folder) / "superset")
        try:
            uri = f"fedsql+flightsql://ada:{quote(PASSWORD)}@127.0.0.1:{service.port}/?tls=off"
            board = dashboard(superset, dataset(superset, database(superset, uri)))
            picture(superset, board, file)
        finally:
            superset.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))

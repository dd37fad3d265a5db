"""Train a model as a job on a table of SQLite, also from SQL; serve it, and ask it."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from time import perf_counter

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent / "flights"))

from load import load  # noqa: E402 (beside the other demo)
from terminal import END, Shell  # noqa: E402

ROOT = HERE.parent.parent
DATABASE = Path("output", "flights.db")
MADE = Path("output", "functions")
SESSION = (
    ".load pybridge/libpybridge",
    """create temp table september as
  select * from flights where month = 9;""",
    """select 'R² = ' || round(json_extract(
  py_job('flights/train', '{"flights": "#temp.september"}', null,
         '{"write": {"predicted": "temp.predicted"}}'),
  '$.results.r2'), 3);""",
    ".mode box",
    """select carrier, count(*) as flights, round(avg(arr_delay), 1) as delay,
       round(avg(predicted), 1) as predicted
  from predicted group by carrier order by delay desc limit 4;""",
    "select function, state, seconds from py_runs limit 2;",
)
NEXT = f"""Go on by hand:
  export PYBRIDGE_FUNCTIONS={MADE / "store"}
  .venv/bin/pybridge function list
  .venv/bin/pybridge function show {{id}}
  .venv/bin/pybridge function serve flights/predict --input model=model
Read: docs/functions.md"""


def main() -> int:
    """Do all of it, in a store of the demo's own."""
    os.chdir(ROOT)
    os.environ["PYBRIDGE_FUNCTIONS"] = str((MADE / "store").absolute())
    load_flights()

    import pybridge.functions as dh

    project = dh.get_or_create_project("flights")
    train, predict = (
        project.new_function(
            name=name,
            kind="python",
            code_src=str(HERE / "delays.py"),
            handler=name,
            python_version=f"PYTHON3_{sys.version_info.minor}",
        )
        for name in ("train", "predict")
    )

    print("\n1. A job: train() of delays.py on a table of SQLite", flush=True)
    start = perf_counter()
    job = train.run(inputs={"flights": f"sqlite:///{DATABASE}#flights"}, wait=True)
    print(*(f"   | {line}" for line in job.logs()), sep="\n")
    print(f"   {job.state} in {perf_counter() - start:.1f} s")
    if job.state != "COMPLETED":
        return 1
    for name, key in job.outputs(as_key=True).items():
        print(f"   {name:<10}{key}")
    picture = job.output("picture").download(MADE / "delays.png", overwrite=True)

    print("\n2. The same from SQL, on some of it; what comes out is a table")
    if not from_sql():
        return 1

    print("\n3. A service with the model that the job has made", flush=True)
    service = predict.run(
        "serve", inputs={"model": job.output("model", as_key=True)}, replicas=2
    ).wait(raise_on_error=True)
    try:
        print(f"   {service.status.service.url}")
        for late in (0, 30, 120):
            told = service.invoke(json={"dep_delay": late, "hour": 18}).json()
            minutes = told["minutes"]
            print(f"   {late:3} minutes late at departure: {minutes} on arrival")
        refused = service.invoke(json={"dep_delay": "soon"})
        print(f"   {refused.status_code}: {refused.json()['error']}")
    finally:
        service.stop()

    print(f"\nMade:\n  {picture}  ({Path(picture).stat().st_size / 1e3:.0f} kB)")
    print(NEXT.format(id=job.id[:12]))
    return 0


def load_flights() -> None:
    """Make the database of the other demo, if it is not there."""
    if DATABASE.exists():
        return
    print("Loading the flights of 2013 into SQLite …", flush=True)
    load(DATABASE)


def from_sql() -> bool:
    """Run the job in the sqlite3 shell, on what the shell itself has changed."""
    command = ["sqlite3", "-bail", "-batch", str(DATABASE)]
    shell = Shell(command, "sqlite> ", "--", f".print {END}")
    done = all(shell.run(statement) for statement in SESSION)
    return shell.close() == 0 and done


if __name__ == "__main__":
    sys.exit(main())

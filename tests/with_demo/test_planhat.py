"""What arrived in Planhat, and what of it is there at the next run."""

from __future__ import annotations

import json
import os
import signal
import sys
from typing import TYPE_CHECKING, Any

import pytest
from with_demo.deliveries import show

if TYPE_CHECKING:
    from conftest import Demo

# COMMAND: posts its arguments, pairs of path and body, to the Planhat of its environment
SEND = (
    sys.executable,
    "-c",
    """if True:
        import os, sys, urllib.request
        host = os.environ["TARGET_PLANHAT_ANALYTICS_URL"]
        for path, body in zip(sys.argv[2::2], sys.argv[3::2]):
            url = f"{host}{path}/{os.environ['TARGET_PLANHAT_TENANT_TOKEN']}"
            headers = {"Content-Type": "application/json"}
            urllib.request.urlopen(urllib.request.Request(url, body.encode(), headers)).close()
    """,
)
SETTINGS = (
    sys.executable,
    "-c",
    """if True:
        import json, os
        own = "TARGET_PLANHAT_"
        print(json.dumps({k[len(own):]: v for k, v in os.environ.items() if k.startswith(own)}))
    """,
)
PEOPLE = json.dumps(
    {
        "accounts": [{"accountId": "acme", "name": "Acme"}, {"accountId": "beta", "crm": "001"}],
        "visitors": [
            {"visitorId": "u1", "accounts": ["acme"], "email": "u1@mail.example"},
            {"visitorId": "u2", "accounts": ["beta"], "email": "u2@mail.example"},
        ],
    }
)
ACTIVITIES = json.dumps(
    [
        {"externalId": "u1", "action": "Used search", "date": "2026-03-10", "count": 1200},
        {"externalId": "u2", "action": "Used search", "date": "2026-03-10", "count": 3},
        {"externalId": "new", "companyExternalId": "acme", "action": "y", "date": "2026-03-10"},
        {"externalId": "nobody", "action": "Used search", "date": "2026-03-10"},
    ]
)
METRIC = json.dumps({"dimensionId": "active_visitors", "value": 7, "externalId": "acme"})
FIRST = ("/analytics/bulk", ACTIVITIES, "/dimensiondata", METRIC)
SECOND = ("/analytics", json.dumps({"externalId": "u2", "action": "Used search"}))


def send(demo: Demo, about: str, *what: str, **environment: str) -> str:
    """Run a COMMAND that sends something; what with-demo says of it."""
    result = demo.run(*SEND, about, *what, STAND_IN_PEOPLE=PEOPLE, **environment)
    assert (result.returncode, result.stderr) == (0, "")
    return result.stdout


def settings(demo: Demo, **environment: str) -> dict[str, str]:
    """The settings of target-planhat that COMMAND finds."""
    result = demo.run(*SETTINGS, STAND_IN_PEOPLE=PEOPLE, **demo.elsewhere, **environment)
    return json.loads(result.stdout.splitlines()[0])


def test_what_came_of_it_and_what_is_new(demo: Demo) -> None:
    first = send(demo, "target-planhat", *FIRST)
    second = send(demo, "target-planhat", *SECOND)

    assert first == (
        "company        activities  new in this run  count  points  new in this run\n"
        "-------------  ----------  ---------------  -----  ------  ---------------\n"
        "Acme                    2               +2  1,201       1               +1\n"
        "beta                    1               +1      3       0               +0\n"
        "all companies           3               +3  1,204       1               +1\n"
        "\n"
        "metric                     points  new in this run\n"
        "-------------------------  ------  ---------------\n"
        "active_visitors (Company)       1               +1\n"
        "\n"
        "End users that Planhat created: 1 (+1)\n"
        "Activities that Planhat dropped (no such end user, and no company to create one in): "
        "1 (+1)\n"
    )
    assert "Acme                    2               +0  1,201       1               +0" in second
    assert "beta                    2               +1      4       0               +0" in second
    assert "active_visitors (Company)       1               +0\n" in second
    assert "End users that Planhat created: 1 (+0)\n" in second
    assert "company to create one in): 1 (+0)\n" in second


def test_postgresql_is_not_spoken_of_where_command_is_about_planhat(demo: Demo) -> None:
    assert send(demo, "target-planhat") == "Nothing arrived in Planhat.\n"


def test_planhat_is_not_spoken_of_where_command_is_about_something_else(demo: Demo) -> None:
    nothing = "Nothing arrived in PostgreSQL: there is no table of a stream in tap_pendo.\n"

    assert send(demo, "a job") == ""
    assert send(demo, "target-postgres") == nothing
    assert send(demo, "target-postgres", *FIRST).startswith(nothing + "\ncompany  ")
    assert send(demo, "target-postgres") == nothing
    assert send(demo, "a job").startswith("company  ")


def test_a_planhat_that_the_environment_names_is_left_alone(demo: Demo) -> None:
    given = {"TARGET_PLANHAT_TENANT_TOKEN": "mine", **demo.elsewhere}

    assert settings(demo, TARGET_PLANHAT_TENANT_TOKEN="mine") == {"TENANT_TOKEN": "mine"}
    assert demo.run("true", "target-planhat", **given).stdout == (
        "The environment names Planhat: what arrived there is not shown.\n"
    )
    assert not (demo.data / "planhat").exists()


def test_the_ledger_stays_with_what_was_sent(demo: Demo) -> None:
    first, second = settings(demo), settings(demo)
    (demo.data / "planhat" / "history.jsonl").unlink()
    third = settings(demo)

    folder = demo.data.resolve()
    assert first["LEDGER_URL"] == f"sqlite:///{folder}/planhat/target-planhat.db"
    assert first["REPORT_PATH"] == f"{folder}/reports"
    same = ("LEDGER_URL", "REPORT_PATH", "TENANT_TOKEN")
    assert {name: second[name] for name in same} == {name: first[name] for name in same}
    assert first["API_TOKEN"] != second["API_TOKEN"]
    # to a ledger that is still there, another tenant: what was sent to the former is not there
    assert third["TENANT_TOKEN"] != first["TENANT_TOKEN"]
    assert (demo.data / "planhat" / "tenant-token").stat().st_mode & 0o777 == 0o600


def test_a_ledger_and_a_report_of_ones_own(demo: Demo) -> None:
    own = {"TARGET_PLANHAT_LEDGER_URL": "sqlite:///mine.db", "TARGET_PLANHAT_REPORT_PATH": "mine"}

    found = settings(demo, **own)

    assert (found["LEDGER_URL"], found["REPORT_PATH"]) == ("sqlite:///mine.db", "mine")


@pytest.mark.skipif(sys.platform != "linux", reason="/proc shows what still runs")
def test_what_was_answered_is_there_after_a_kill(demo: Demo) -> None:
    script = '"$@" && touch ready; read line'
    command = ("sh", "-c", script, "sh", *SEND, "target-planhat", *FIRST)
    process = demo.start(*command, STAND_IN_PEOPLE=PEOPLE, **demo.elsewhere)
    demo.until(demo.stamp("ready").exists, "COMMAND has sent everything")
    for one in {process.pid, *demo.running()}:
        os.kill(one, signal.SIGKILL)
    process.communicate()

    assert "all companies           3               +0" in send(demo, "target-planhat")


def test_where_the_page_lies_if_there_is_a_new_one(demo: Demo) -> None:
    write = 'mkdir "$TARGET_PLANHAT_REPORT_PATH"; touch "$TARGET_PLANHAT_REPORT_PATH/latest.html"'
    page = demo.data.resolve() / "reports" / "latest.html"

    new = demo.run("sh", "-c", write, **demo.elsewhere).stdout
    old = demo.run("true", **demo.elsewhere).stdout

    assert new.endswith(f"\nReport of target-planhat: {page}\n")
    assert "Report" not in old


def test_a_planhat_that_cannot_be_filled(demo: Demo) -> None:
    people = json.dumps({"accounts": [{"name": "has no id"}]})

    result = demo.run("true", STAND_IN_PEOPLE=people, **demo.elsewhere)

    assert (result.returncode, result.stdout) == (1, "")
    assert result.stderr.startswith("with-demo: cannot fill Planhat with Pendo's people: ")
    assert len(result.stderr.splitlines()) == 1


def summary(*companies: tuple[str, str | None, int]) -> dict[str, Any]:
    return {
        "companies": [
            {"id": key, "name": name, "activities": number, "count": number / 2, "points": 0}
            for key, name, number in companies
        ],
        "metrics": [],
        "created": 0,
        "failed": [],
    }


def test_the_companies_with_most_have_lines_of_their_own() -> None:
    many = [(f"{number}", f"Company {number}", number) for number in range(1, 15)]

    lines = show(summary(*many[:10]), summary(("", None, 99), ("x", None, 98), *many)).splitlines()

    assert [line.split("  ")[0] for line in lines[2:]] == [
        "(no company)",
        "(no name)",
        *(f"Company {number}" for number in range(14, 4, -1)),
        "4 more",
        "all companies",
    ]
    assert lines[-2].split()[2:] == ["10", "+0", "5.0", "0", "+0"]
    assert lines[-1].split()[2:] == ["302", "+247", "151.0", "0", "+0"]

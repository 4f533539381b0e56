"""What is asked of Pendo before a run, and the plain sentences of `--test`."""

from __future__ import annotations

import typing as t

from tap_pendo.client import KEY_REFUSED, MAX_TRIES, REGIONS, PendoClient
from tap_pendo.errors import ForbiddenError, RefusedError, StreamError, TapError

if t.TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from tap_pendo.client import Access
    from tap_pendo.run import Run

# What this tap keeps of a stream, and what the older singer-io tap-pendo kept (pendo-api.md §6)
_MARKS = {"covered_from", "covered_to", "start", "period", "lookback_day", "replication_key_value"}
_MARKS_OF_SINGER_IO = {
    *("lastUpdatedAt", "last_updated_at", "lastupdated", "last_updated"),
    *("day", "hour", "browserTime", "browser_time", "modifiedTs", "modified_ts"),
}
_FEW_TRIES = 2
_REGION_SECONDS = 10


def require_own_state(state: Mapping[str, t.Any]) -> None:
    """Stop here, with one line, if a state is not of this tap: its marks would be passed over.

    Raises:
        TapError: as said.
    """
    marks = state.get("bookmarks", {})
    if not isinstance(marks, dict) or not all(isinstance(m, dict) for m in marks.values()):
        raise TapError("--state: allowed is an object whose `bookmarks` hold an object a stream")
    for stream, found in marks.items():
        foreign = sorted(found.keys() & _MARKS_OF_SINGER_IO)
        if foreign and not found.keys() & _MARKS:
            raise TapError(
                f"--state: the bookmark of {stream} (`{foreign[0]}`) is of the singer-io "
                "tap-pendo, from which this one cannot go on: start without state, as with "
                "`--full-refresh` or another `--state-id-suffix`"
            )


def require_access(run: Run) -> None:
    """Stop here, with one line, if the key is refused or `app_ids` names unknown apps.

    Raises:
        TapError: as said, or Pendo cannot be reached.
    """
    _access(run, MAX_TRIES)
    if run.settings.app_ids:
        try:
            apps = _apps(run)
        except (ForbiddenError, RefusedError):
            return  # a key that may not list apps may still read them
        _require_apps(run, apps)


def sentences(run: Run) -> Iterator[str]:
    """Say what the key may do and what it sees, one fact a sentence.

    Raises:
        TapError: what keeps the tap from running.
    """
    access = _access(run, _FEW_TRIES)
    yield "Pendo accepts the integration_key in this region."
    write = "has" if access.write else "has no"
    yield f"The key {write} write access; reading should not need it (unverified)."
    try:
        apps = _apps(run)
    except (ForbiddenError, RefusedError) as error:
        raise TapError(
            f"Aggregation is not allowed to this key ({error}): events, visitors, accounts and "
            "applications cannot be read; ask for a key with access to Pendo's API"
        ) from error
    yield "Aggregation is allowed."
    yield f"The key sees {len(apps)} app{'' if len(apps) == 1 else 's'}."
    _require_apps(run, apps)


def _access(run: Run, tries: int) -> Access:
    try:
        access = run.client.access(tries)
    except RefusedError as error:
        raise TapError(f"this is not Pendo's API ({error}): check `api_url`") from error
    except StreamError as error:
        raise TapError(f"Pendo cannot be reached: {error}") from error
    if not access.valid:
        raise TapError(KEY_REFUSED + _other_region(run))
    return access


def _other_region(run: Run) -> str:
    """Name the region that takes the key, if it is not the configured one."""
    settings = run.settings
    if settings.base_url not in REGIONS.values():
        return ""  # `api_url` is set: the key is for that host alone
    for name, url in REGIONS.items():
        if url == settings.base_url:
            continue
        client = PendoClient(url, settings.integration_key, timeout=_REGION_SECONDS)
        try:
            if client.access(tries=1).valid:
                return f"; this one is valid in region {name}: set `region` to it"
        except StreamError:
            continue
        finally:
            client.close()
    return ""


def _apps(run: Run) -> set[int]:
    """Ids of the apps that the key sees."""
    try:
        return set(run.apps())
    except (ForbiddenError, RefusedError):
        raise
    except StreamError as error:
        raise TapError(f"Pendo cannot be reached: {error}") from error


def _require_apps(run: Run, apps: set[int]) -> None:
    unknown = [app_id for app_id in run.settings.app_ids if app_id not in apps]
    if unknown:
        known = ", ".join(str(app_id) for app_id in sorted(apps))
        raise TapError(
            f"setting `app_ids`: {len(unknown)} of {len(run.settings.app_ids)} ids name no app "
            f"of this subscription; allowed are {known}"
        )

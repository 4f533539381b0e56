"""What Dagster shows of a tenant: tables, history by app and month or day, and increments."""

import os
import typing as t
from collections.abc import Iterator

import dagster as dg

from orchestrate import pieces, sums
from orchestrate.connections import Tenant
from orchestrate.errors import ConnectionsError, PieceError
from orchestrate.logs import Log
from orchestrate.pieces import Piece
from orchestrate.work import Work

APP, TIME = "app", "time"
_RETRIES = dg.RetryPolicy(
    max_retries=3, delay=5, backoff=dg.Backoff.EXPONENTIAL, jitter=dg.Jitter.PLUS_MINUS
)
_SECONDS = 60


class Pieces(dg.Config):
    """Configuration of a run of a piece: Dagster runs no check alone on a partition."""

    only_check: bool = False


def partitions_of(tenant: Tenant) -> tuple[str, str]:
    """Name the sets of partitions of a tenant: apps, and months or days."""
    return f"{tenant.name}_apps", f"{tenant.name}_{tenant.history.cut}s"


def tables(tenant: Tenant) -> dg.AssetsDefinition:
    """Make the asset that makes tables and partitions."""

    @dg.asset(
        key=[tenant.name, "tables"],
        group_name=tenant.name,
        pool=tenant.pool,
        retry_policy=_RETRIES,
        kinds={"postgres"},
        description="Makes the tables, and the partitions of the history out of the tap's plan.",
    )
    def make(context: dg.AssetExecutionContext) -> dg.MaterializeResult[t.Any]:
        work = _work(tenant, context)
        with _Told():
            work.tables()
            found = work.partitions()
        for name, keys in zip(partitions_of(tenant), (found.apps, found.spans), strict=True):
            context.instance.add_dynamic_partitions(name, keys)
        planned = {name: found.plan[name] for name in ("rows", "calls", "expected_minutes")}
        return dg.MaterializeResult(
            metadata={"apps": len(found.apps), "spans": len(found.spans), **planned}
        )

    return make


def history(tenant: Tenant) -> dg.AssetsDefinition:
    """Make the asset whose partitions are the pieces of the history, and its check."""
    apps, spans = partitions_of(tenant)
    key = dg.AssetKey([tenant.name, "history"])
    check = "sums"

    @dg.multi_asset(
        name=f"{tenant.name}_history",
        specs=[
            dg.AssetSpec(
                key,
                deps=[dg.AssetKey([tenant.name, "tables"])],
                group_name=tenant.name,
                kinds={"postgres"},
                description="Event streams of one app in one month or day, the same at each run.",
                skippable=True,
            )
        ],
        check_specs=[
            dg.AssetCheckSpec(
                check,
                asset=key,
                description="Sums of the events that are loaded are those that Pendo counts.",
            )
        ],
        partitions_def=dg.MultiPartitionsDefinition(
            {
                APP: dg.DynamicPartitionsDefinition(name=apps),
                TIME: dg.DynamicPartitionsDefinition(name=spans),
            }
        ),
        backfill_policy=dg.BackfillPolicy.multi_run(1),
        pool=tenant.pool,
        retry_policy=_RETRIES,
    )
    def load(
        context: dg.AssetExecutionContext, config: Pieces
    ) -> Iterator[dg.MaterializeResult[t.Any] | dg.AssetCheckResult]:
        named = context.partition_key.keys_by_dimension
        piece = pieces.piece(named[APP], named[TIME], tenant.history.cut, tenant.zone)
        work = _work(tenant, context)
        with _Told():
            if not config.only_check:
                yield dg.MaterializeResult(key, metadata=_metadata(work.piece(piece)))
            yield _compared(work, piece, key, check)

    return load


def _compared(work: Work, piece: Piece, key: dg.AssetKey, check: str) -> dg.AssetCheckResult:
    pendo, loaded = work.compare(piece)
    wrong = sums.differences(pendo, loaded)
    return dg.AssetCheckResult(
        asset_key=key,
        check_name=check,
        passed=not wrong,
        description="; ".join(wrong) or f"{sum(loaded.values()):,} events, as Pendo counts them",
        metadata={"pendo": dg.MetadataValue.json(pendo), "loaded": dg.MetadataValue.json(loaded)},
    )


def increments(tenant: Tenant) -> list[dg.AssetsDefinition]:
    """Make an asset for each target that regular runs fill."""
    return [_increment(tenant, target) for target in tenant.increments.into]


def _increment(tenant: Tenant, target: str) -> dg.AssetsDefinition:
    name = target.removeprefix("target-")

    @dg.asset(
        key=[tenant.name, f"increments_{name}"],
        group_name=tenant.name,
        deps=[dg.AssetKey([tenant.name, "tables"])],
        pool=tenant.pool,
        retry_policy=_RETRIES,
        description=f"What is new, into {target}; continues from Meltano's state.",
    )
    def load(context: dg.AssetExecutionContext) -> dg.MaterializeResult[t.Any]:
        work = _work(tenant, context)
        with _Told():
            return dg.MaterializeResult(metadata=_metadata(work.increments(target)))

    return load


def _work(tenant: Tenant, context: dg.AssetExecutionContext) -> Work:
    _guard_pool(tenant, context.instance)
    with _Told():
        return Work(tenant, os.environ, context.log.info)


def _guard_pool(tenant: Tenant, instance: dg.DagsterInstance) -> None:
    """Refuse to work beside more workers than share the limit of calls."""
    limits = {each.name: each.limit for each in instance.event_log_storage.get_pool_limits()}
    found = limits.get(tenant.pool)
    if found is None or found > tenant.workers:
        told = "no limit" if found is None else f"a limit of {found}"
        raise dg.Failure(
            f"pool {tenant.pool} has {told}, {tenant.name} has {tenant.workers} workers: "
            "run python -m orchestrate pools",
            allow_retries=False,
        )


class _Told:
    """Tells Dagster what went wrong: whether it can be tried again, in one line."""

    def __enter__(self) -> None:
        """Begin."""

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        """Turn our errors into Dagster's."""
        if isinstance(error, PieceError | ConnectionsError):
            again = isinstance(error, PieceError)
            raise dg.Failure(str(error), allow_retries=again) from None


def _metadata(log: Log) -> dict[str, t.Any]:
    """Make the figures of a run: rows, windows, calls, retries, bytes, minutes, freshness."""
    counts = ("rows", "windows", "calls", "retries", "throttled", "bytes")
    streams = {name: each for name, each in log.streams.items() if name != "sync_windows"}
    return {
        **{name: int(sum(each[name] or 0 for each in streams.values())) for name in counts},
        "minutes": round(log.total("seconds") / _SECONDS, 3),
        "freshness_seconds": dg.MetadataValue.json(
            {name: each["freshness_seconds"] for name, each in streams.items()}
        ),
        "streams": dg.MetadataValue.json(log.streams),
    }

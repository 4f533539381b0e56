"""Knows which of Planhat's unsettled behaviours this emulator shows."""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta


def _about(text: str) -> Meta:
    return Meta(description=text)


class Knobs(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """Settings for what nobody knows of Planhat for sure; the defaults are the contract's."""

    # Analytics
    unknown_tenant: Annotated[
        Literal[404, 401, "sink"],
        _about("Status for an unknown tenant token; sink: 200, and nothing is kept."),
    ] = 404
    too_large: Annotated[
        Literal[413, 400, "sink"],
        _about("Status of a body of more than max_body; sink: 200, and nothing is kept."),
    ] = 413
    max_body: Annotated[int, _about("Bytes that a body may have.")] = 32 * 1024 * 1024
    malformed: Annotated[
        Literal[400, "sink"],
        _about("Status of a body that is not JSON; sink: 200, and nothing is kept."),
    ] = 400
    failed_items: Annotated[
        Literal[200, 400],
        _about("Status of an answer that names items which failed; the others are stored."),
    ] = 200
    ambiguous: Annotated[
        Literal["first", "last", "drop"],
        _about("Which of several objects with one externalId receives an item."),
    ] = "first"

    # Activities
    wrong_form: Annotated[
        Literal["refuse", "accept", "sink"],
        _about("An array on the single path, an object on the bulk path."),
    ] = "refuse"
    activity_answer: Annotated[
        Literal["json", "text", "empty"], _about("Form of the answer to activities.")
    ] = "json"
    report_unmatched: Annotated[
        bool, _about("Dropped activities are errors in a JSON answer too.")
    ] = False
    create_end_users: Annotated[
        Literal["company", "never", "always"],
        _about("Unknown end users are created: where the company is known, never, always."),
    ] = "company"
    precedence: Annotated[
        Literal["externalId", "email"],
        _about("The key that wins when externalId and email name different end users."),
    ] = "externalId"
    company_mismatch: Annotated[
        Literal["existing", "create"],
        _about("An end user who is only in another company than the item's receives it."),
    ] = "existing"
    bad_date: Annotated[
        Literal["drop", "now"], _about("An activity whose date is none is dropped, or is of now.")
    ] = "drop"

    # Metrics
    unmatched_metrics: Annotated[
        Literal["error", "silent"],
        _about("An unknown externalId is an error in the answer, or fails silently."),
    ] = "error"
    metric_errors: Annotated[
        Literal["named", "generic"], _about("Errors name the field, or are all 'invalid item'.")
    ] = "named"
    processed: Annotated[
        Literal["total", "stored"],
        _about("What processed counts: all items, or those that were stored."),
    ] = "total"
    numeric_strings: Annotated[
        Literal["refuse", "accept"], _about("A value that is a number in a string.")
    ] = "refuse"
    model_case: Annotated[
        Literal["exact", "any"], _about("Model names are compared with case, or without.")
    ] = "exact"
    dimension_ids: Annotated[
        Literal["any", "strict"],
        _about("strict refuses a dimensionId with spaces or special characters."),
    ] = "any"
    metrics_need_token: Annotated[bool, _about("POST of metrics needs the api token too.")] = False
    read_back: Annotated[
        Literal["all", "company"],
        _about("Points of a cId: with those of its end users, assets, projects, or not."),
    ] = "all"
    read_back_needs_range: Annotated[bool, _about("GET /dimensiondata needs from and to.")] = False

    # Bulk upserts
    too_many_items: Annotated[Literal[400, 413], _about("Status of more than max_items.")] = 400
    max_items: Annotated[int, _about("Items that a bulk upsert may have.")] = 5000
    error_entries: Annotated[
        Literal["string", "object"],
        _about("Form of the entries of createdErrors, updatedErrors, permissionErrors."),
    ] = "object"
    duplicated_items: Annotated[
        Literal["later", "all"], _about("Of items with one key the later ones fail, or all.")
    ] = "later"
    partial_status: Annotated[Literal[206, 400], _about("Status where some items failed.")] = 206
    end_user_needs: Annotated[
        Literal["email", "key"], _about("What a new end user needs beside a company.")
    ] = "email"
    end_user_without_company: Annotated[
        Literal["error", "ignored"],
        _about("An end user whose company is unknown: an error, or ignored silently."),
    ] = "error"
    external_id_scope: Annotated[
        Literal["company", "tenant"],
        _about("An externalId in another company is another object, or the object moves."),
    ] = "company"
    match_by_email: Annotated[
        Literal["always", "uncontradicted"],
        _about("An email matches always, or no end user who has another of the item's keys."),
    ] = "always"
    nulls: Annotated[
        Literal["clear", "ignore", "refuse"],
        _about("null clears the field, is ignored, or is an error."),
    ] = "clear"
    unknown_custom: Annotated[
        Literal["keep", "drop", "refuse"], _about("Custom fields that World.custom_fields lacks.")
    ] = "keep"

    # REST
    over_limit: Annotated[
        Literal["lower", "refuse"], _about("A list's limit above the maximum is lowered, or a 400.")
    ] = "lower"
    id_in_update: Annotated[
        Literal["refuse", "ignore"], _about("_id in the body of PUT of one object.")
    ] = "refuse"
    created_status: Annotated[Literal[200, 201], _about("Status of POST.")] = 200
    error_bodies: Annotated[
        Literal["json", "text", "html"], _about("Form of errors, of both hosts.")
    ] = "json"
    rate_limit: Annotated[
        int | None, _about("REST calls of a token in rate_window; None: no limit.")
    ] = 200
    rate_window: Annotated[float, _about("Seconds, by the emulator's clock.")] = 60.0
    hard_limit: Annotated[
        int | None,
        _about("REST calls of a token in one second of the emulator's clock; None: no limit."),
    ] = 150
    most_parallel: Annotated[int | None, _about("REST calls at once; None: no limit.")] = 50
    rate_headers: Annotated[
        Literal["both", "old", "new", "none"], _about("Spelling of the limit's headers.")
    ] = "both"
    retry_after: Annotated[
        Literal["absent", "seconds", "http-date"], _about("Retry-After of a 429.")
    ] = "absent"

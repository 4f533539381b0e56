"""Knows which of Planhat's unsettled behaviours (API facts §9, §11) this emulator shows."""

from typing import Literal

import msgspec


class Knobs(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """Settings for what nobody knows of Planhat for sure; the defaults are the contract's (§9).

    Analytics, both kinds
        `unknown_tenant` a status, or "sink": 200 for everything, nothing is kept.
        `too_large` is the status of a body of more than `max_body` bytes, "sink" as above.
        `malformed` is the status of a body that is no JSON, or has no object where one belongs.
    Activities (§2)
        `wrong_form` an array on the single path, an object on the bulk path: refused (400), taken
        as what it is, or a sink. `activity_answer` is the form of the answer. `report_unmatched`
        returns dropped activities as errors too, where the answer is JSON. `create_end_users`:
        where the company can be told, never, or always, even without a company. `precedence` is
        the key that wins when externalId and email name different end users. `ambiguous` is which
        of several end users receives an item that no company decides: the first, the last, none.
        `company_mismatch`: an end user found only in another company than the item's receives it,
        or a new one is created there. `bad_date`: dropped, or taken as now.
    Metrics (§3)
        `unmatched_metrics`: an error in the answer, or only in the list of what failed.
        `metric_errors` "generic" says only "invalid item"; `processed` counts all items or those
        that were stored. `numeric_strings`, `model_case` and `dimension_ids` say how strict the
        fields are. `metrics_need_token`: POST needs the api token too. `read_back` "company"
        answers a cId with the company's own points only. `read_back_needs_range`: 400 without
        from and to.
    Upserts (§4.3)
        `too_many_items` is the status of more than `max_items`. `error_entries` is the form of
        entries of createdErrors, updatedErrors and permissionErrors. `duplicated_items`: of items
        with one key, the later ones or all fail. `partial_status` is the status where some items
        failed. `end_user_needs`: email, or any key. `end_user_without_company`: an error, or
        ignored without a word. `external_id_scope`: an end user, asset or project of another
        company than the item's is another one, or is moved. `match_by_email`: always where no other
        key matches, or only an end user whose other keys the item does not contradict. `nulls`:
        clear the field, are ignored, or are an error. `unknown_custom`: custom fields that
        `World.custom_fields` lacks are kept, dropped or an error.
    REST (§4, §5)
        `over_limit`: a list's limit above the maximum is lowered, or a 400. `id_in_update`: a body
        with _id is a 400, or its _id is ignored. `created_status` answers POST. `error_bodies` is
        the form of errors. `rate_limit` calls in `rate_window` seconds, `hard_limit` calls in one
        second, `most_parallel` calls at once, each None for no limit; by the emulator's clock.
        `rate_headers` is their spelling, `retry_after` their form on a 429.
    """

    unknown_tenant: Literal[404, 401, "sink"] = 404
    too_large: Literal[413, 400, "sink"] = 413
    max_body: int = 32 * 1024 * 1024
    malformed: Literal[400, "sink"] = 400

    wrong_form: Literal["refuse", "accept", "sink"] = "refuse"
    activity_answer: Literal["json", "text", "empty"] = "json"
    report_unmatched: bool = False
    create_end_users: Literal["company", "never", "always"] = "company"
    precedence: Literal["externalId", "email"] = "externalId"
    ambiguous: Literal["first", "last", "drop"] = "first"
    company_mismatch: Literal["existing", "create"] = "existing"
    bad_date: Literal["drop", "now"] = "drop"

    unmatched_metrics: Literal["error", "silent"] = "error"
    metric_errors: Literal["named", "generic"] = "named"
    processed: Literal["total", "stored"] = "total"
    numeric_strings: Literal["refuse", "accept"] = "refuse"
    model_case: Literal["exact", "any"] = "exact"
    dimension_ids: Literal["any", "strict"] = "any"
    metrics_need_token: bool = False
    read_back: Literal["all", "company"] = "all"
    read_back_needs_range: bool = False

    too_many_items: Literal[400, 413] = 400
    max_items: int = 5000
    error_entries: Literal["string", "object"] = "object"
    duplicated_items: Literal["later", "all"] = "later"
    partial_status: Literal[206, 400] = 206
    end_user_needs: Literal["email", "key"] = "email"
    end_user_without_company: Literal["error", "ignored"] = "error"
    external_id_scope: Literal["company", "tenant"] = "company"
    match_by_email: Literal["always", "uncontradicted"] = "always"
    nulls: Literal["clear", "ignore", "refuse"] = "clear"
    unknown_custom: Literal["keep", "drop", "refuse"] = "keep"

    over_limit: Literal["lower", "refuse"] = "lower"
    id_in_update: Literal["refuse", "ignore"] = "refuse"
    created_status: Literal[200, 201] = 200
    error_bodies: Literal["json", "text", "html"] = "json"
    rate_limit: int | None = 200
    rate_window: float = 60.0
    hard_limit: int | None = 150
    most_parallel: int | None = 50
    rate_headers: Literal["both", "old", "new", "none"] = "both"
    retry_after: Literal["absent", "seconds", "http-date"] = "absent"

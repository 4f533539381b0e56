"""Knows the product areas, which Pendo calls groups, and what each of them holds."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from pendo_emulator.draws import identifier

Definition = dict[str, Any]

AREAS = ("Planning", "Reporting", "Billing", "Team", 'Labs "beta"')
_CREATED = 1_640_995_200_000  # 2022-01-01
_DAY = 86_400_000
_TAGGED = ("page", "feature", "trackType")


def area(number: int, users: Sequence[Definition]) -> Definition:
    """Return an area as definitions embed it; the first is the default one."""
    return {
        "id": identifier("group", number) if number else "_PENDO_DEFAULTGROUP_00_general",
        "name": AREAS[number],
        "description": "",
        "color": f".groupColor{number:02d}",
        "type": "group",
        "length": 0,  # counted when it is shown
        "items": None,
        "createdAt": _CREATED,
        "lastUpdatedAt": _CREATED + number * _DAY,
        "createdByUser": users[0],
        "lastUpdatedByUser": users[0],
    }


def make_areas(users: Sequence[Definition], guides: Sequence[Definition]) -> list[Definition]:
    """Return all areas; their items are the guides, which do not name their area themselves."""
    areas = [{**area(number, users), "items": []} for number in range(len(AREAS))]
    areas[1] |= {"feedbackProductId": "4711", "feedbackVisibility": "private"}
    for number, guide in enumerate(guides):
        if number % 3:
            areas[number % len(AREAS)]["items"].append(_item("guide", guide))
    areas.append(
        {
            "id": identifier("group", "empty"),
            "name": "Retired ideas",
            "color": ".groupColor07",
            "type": "group",
            "createdAt": _CREATED,
            "lastUpdatedAt": _CREATED,
            "createdByUser": users[2],
        }
    )
    return areas


def held_items(definitions: Mapping[str, Sequence[Definition]]) -> dict[str, list[Definition]]:
    """Return {area id: [{itemType, itemId}]} of what there is now."""
    held: defaultdict[str, list[Definition]] = defaultdict(list)
    for kind in _TAGGED:
        for one in definitions[kind]:
            if "group" in one:
                held[one["group"]["id"]].append(_item(kind, one))
    guides = {guide["id"] for guide in definitions["guide"]}
    for one in definitions["group"]:
        held[one["id"]] += [item for item in one.get("items") or () if item["itemId"] in guides]
    return held


def _item(kind: str, definition: Definition) -> Definition:
    return {"itemType": kind, "itemId": definition["id"]}

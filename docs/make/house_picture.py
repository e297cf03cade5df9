"""docs/pictures/house.svg: the rooms on their floors, and which room uses which, as measured in the code."""

from __future__ import annotations

from docs.make.house import FLOORS, arrows, rooms_in_use
from docs.make.svg import Box, Drawing, border_point

Point = tuple[float, float]

_WIDTH, _ROW, _TOP = 1080, 108, 78
_LEFT, _ROOM, _ROUND = 250, (128, 46), 9
_NOT_DRAWN = frozenset({"core", "settings"})
"""Every room stands on the ground; arrows to it would hide the others. The roof's are left out for the same reason."""


def picture() -> str:
    """The text of the picture."""
    used = set(rooms_in_use())
    height = _TOP + _ROW * len(FLOORS) + 96
    drawing = Drawing(_WIDTH, height, "The house", "Rooms by floor; an arrow means that one room imports another.")
    drawing.text(32, 44, "The house: a room uses the floors below it, never sideways, never up", "title")
    boxes: dict[str, Box] = {}
    for row, floor in enumerate(FLOORS):
        top = _TOP + row * _ROW
        drawing.rect(Box(24, top, _WIDTH - 48, _ROW - 12), "band", 10)
        drawing.text(44, top + 42, "roof" if floor.number == 5 else f"floor {floor.number}", "floor")
        drawing.text(44, top + 62, floor.says.removeprefix("roof: "), "soft")
        rooms = [room for room in floor.rooms if room in used]
        step = (_WIDTH - _LEFT - 50) / len(rooms)
        for place, room in enumerate(rooms):
            x = _LEFT + step * (place + 0.5) - _ROOM[0] / 2
            boxes[room] = Box(x, top + (_ROW - 12 - _ROOM[1]) / 2, *_ROOM)
    bent: dict[tuple[str, bool], int] = {}
    for user, target in sorted(arrows(), key=lambda pair: (boxes[pair[0]].x, boxes[pair[1]].x, pair)):
        if target not in _NOT_DRAWN and user not in ("roof", "cli"):
            drawing.line(_route(boxes, user, target, bent), "arrow thin")
    for room, box in boxes.items():
        drawing.named_box(box, "create_app" if room == "roof" else room)
    bottom = _TOP + _ROW * len(FLOORS)
    drawing.line(((24, bottom + 14), (_WIDTH - 24, bottom + 14)), "life")
    drawing.text(_WIDTH / 2, bottom + 10, "HTTP only", "label middle")
    drawing.named_box(Box(_LEFT, bottom + 30, _WIDTH - _LEFT - 50, 44), "mock_acquirer", "end")
    drawing.text(44, bottom + 57, "another world", "soft")
    return drawing.svg()


def _route(boxes: dict[str, Box], user: str, target: str, bent: dict[tuple[str, bool], int]) -> list[Point]:
    """From room to room, round the rooms that stand in the way; `bent` counts who passes a room on which side."""
    start, end = boxes[user], boxes[target]
    (x, y), (ex, ey) = start.center, end.center
    points: list[Point] = []
    for room, box in sorted(boxes.items(), key=lambda item: item[1].y):
        if not start.y + start.height < box.y < end.y - box.height:
            continue
        at = x + (ex - x) * (box.center[1] - y) / (ey - y)
        if not box.x - _ROUND < at < box.x + box.width + _ROUND:
            continue
        right = at > box.center[0]
        bent[(room, right)] = bent.get((room, right), 0) + 1
        away = _ROUND * bent[(room, right)]
        at = box.x + box.width + away if right else box.x - away
        points += [(at, box.y - 4), (at, box.y + box.height + 4)]
    first, last = (points[0], points[-1]) if points else (end.center, start.center)
    return [border_point(start, first), *points, border_point(end, last)]

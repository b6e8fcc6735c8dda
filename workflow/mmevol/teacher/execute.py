"""Programs run over the annotations of one picture.

A `Run` answers a program, and on request writes its trace as steps. A question whose referents are not unique, are not there,
or are told apart by less than a margin has no answer: `Unanswerable`.
"""

from dataclasses import dataclass

from mmevol.teacher import language as la
from mmevol.teacher.render import box_text, noun_phrase, plural_phrase, upper_first
from mmevol.teacher.scene import MARGIN, NEAR, RATIO, Scene

LISTED = 8
"""A step quotes the boxes of a group up to this size, and says how many there are beyond it."""

_EDGE: dict[str, tuple[int, int]] = {"leftmost": (0, 1), "rightmost": (0, -1), "topmost": (1, 1), "bottommost": (1, -1)}


class Unanswerable(Exception):
    """The program has no answer in this picture; the message, written only when read, says why."""

    def __init__(self, why: str, *ones: la.Referent) -> None:
        super().__init__(why, *ones)
        self.why, self.ones = why, ones

    def __str__(self) -> str:
        return self.why.format(*map(noun_phrase, self.ones))


@dataclass(slots=True)
class Step:
    """A manipulation of the trace and what it found."""

    manipulation: str
    description: str
    skill: str


class Run:
    """One execution. ``steps`` fills only when tracing; ``targets`` are the objects that the question is about; ``value`` is
    the answer once there is one."""

    def __init__(self, scene: Scene, *, trace: bool = False) -> None:
        self.scene, self.trace = scene, trace
        self.steps: list[Step] = []
        self.targets: list[int] = []
        self.value = ""
        self._numbers = {"bbx": 0, "tgt": 0, "res": 0, "txt": 0}

    def _step(self, function: str, argument: str, result: str, description: str, skill: str) -> str:
        self._numbers[result] += 1
        name = f"{result}_{self._numbers[result]}"
        self.steps.append(Step(f"{function}_{self._numbers[result]}({argument})->{name}", description, skill))
        return name

    def members(self, group: la.Group) -> list[int]:
        """The positions of a group's objects. Raises `Unanswerable` where an anchor is not unique or a side not clear."""
        scene = self.scene
        found = scene.alike(group.label, group.attributes)
        if group.where is not None:
            anchor = self.resolve(group.where.anchor)
            found = self._beside(found, group.where.place, anchor)
        if self.trace:
            self._ground(group, found)
        return found

    def _beside(self, members: list[int], place: la.Place, anchor: int) -> list[int]:
        found = []
        for i in members:
            side = i != anchor and self.scene.beside(i, place, anchor)
            if side is None:
                raise Unanswerable("an object is too close to the line to tell on which side it lies")
            if side:
                found.append(i)
        return found

    def _ground(self, group: la.Group, found: list[int]) -> None:
        words, scene = plural_phrase(group), self.scene
        if not found:
            text = f"There are no {words}."
        elif len(found) == 1:
            text = f"{upper_first(noun_phrase(la.One(group)))} is at {box_text(scene.boxes[found[0]])}."
        elif len(found) > LISTED:
            text = f"There are {len(found)} {words}."
        else:
            text = f"There are {len(found)} {words}, at {', '.join(box_text(scene.boxes[i]) for i in found)}."
        self._step("Grounding", words, "bbx", text, "relationship" if group.where else "grounding")

    def resolve(self, one: la.Referent) -> int:
        """The position of one object. Raises `Unanswerable` where none or several fit."""
        scene = self.scene
        if isinstance(one, la.Region):
            found = [
                i for i in scene.all if all(abs(a - b) < NEAR for a, b in zip(scene.boxes[i], one.box, strict=True))
            ]
        else:
            found = self.members(one.group)
            if one.pick and found:
                found = [self.pick(one.pick, found)]
        if len(found) != 1:
            raise Unanswerable("{} is not there" if not found else "{} is not unique", one)
        if self.trace and (isinstance(one, la.Region) or one.pick):
            where = box_text(scene.boxes[found[0]])
            if isinstance(one, la.Region):
                self._step("Referring", where, "tgt", f"The region shows {scene.name(found[0])}.", "referencing")
            else:
                self._step(
                    "Calculate", f"{one.pick} of bbx_{self._numbers['bbx']}", "res", f"It is at {where}.", "calculating"
                )
        return found[0]

    def pick(self, pick: str, found: list[int]) -> int:
        """Which of the objects stands out. Raises `Unanswerable` where none does by more than the margin."""
        if pick in ("largest", "smallest"):
            areas = self.scene.areas
            order = sorted(found, key=lambda i: areas[i] if pick == "smallest" else -areas[i])
            if len(order) > 1:
                small, large = sorted((areas[order[0]], areas[order[1]]))
                if large < RATIO * small:
                    raise Unanswerable(f"no object is clearly the {pick}")
            return order[0]
        axis, sign = _EDGE[pick]
        at = [(sign * self.scene.centres[i][axis], i) for i in found]
        at.sort()
        if len(at) > 1 and at[1][0] - at[0][0] < MARGIN:
            raise Unanswerable(f"no object is clearly the {pick}")
        return at[0][1]

    def answer(self, program: la.Program) -> str:
        """The program's answer as text. Raises `Unanswerable`."""
        self.value = self._answer(program)
        return self.value

    def _answer(self, program: la.Program) -> str:
        match program:
            case la.Attribute(name, one):
                return self._attribute(name, one)
            case la.Name(one):
                return self._name(one)
            case la.Read(one):
                return self._read(one)
            case la.Locate(one):
                i = self._target(one)
                return box_text(self.scene.boxes[i])
            case la.Count() | la.Total() | la.Difference():
                return self._number(program)
            case _:
                return "Yes" if self._decide(program) else "No"

    def _target(self, one: la.Referent) -> int:
        i = self.resolve(one)
        self.targets.append(i)
        return i

    def _attribute(self, name: str, one: la.Referent) -> str:
        i = self._target(one)
        value = self.scene.attribute(i, name)
        if value is None:
            raise Unanswerable(f"the {name} of {{}} is not annotated", one)
        if self.trace:
            self._step("Referring", f"bbx_{self._numbers['bbx'] or 1}", "tgt", f"Its {name} is {value}.", "referencing")
        return value

    def _name(self, one: la.Referent) -> str:
        i = self._target(one)
        if self.trace and not isinstance(one, la.Region):
            self._step("Referring", box_text(self.scene.boxes[i]), "tgt", f"It is {self.scene.name(i)}.", "referencing")
        return self.scene.name(i)

    def _read(self, one: la.Referent) -> str:
        i = self._target(one)
        text = self.scene.attributes[i].get("text")
        if text is None:
            raise Unanswerable("nothing is printed on {}", one)
        if self.trace:
            self._step("OCR", f"bbx_{self._numbers['bbx'] or 1}", "txt", f"The letters are {text}.", "ocr")
        return text

    def _size(self, group: la.Group) -> int:
        found = self.members(group)
        self.targets.extend(found)
        if self.trace:
            number = self._numbers["bbx"]
            self._step("Calculate", f"count(bbx_{number})", "res", f"There are {len(found)}.", "calculating")
        return len(found)

    def _pair(self, a: la.Group, b: la.Group) -> tuple[int, int]:
        if set(self.members_quietly(a)) & set(self.members_quietly(b)):
            raise Unanswerable("the two groups share an object")
        return self._size(a), self._size(b)

    def members_quietly(self, group: la.Group) -> list[int]:
        """`members` without a trace."""
        return Run(self.scene).members(group)

    def _number(self, program: la.Count | la.Total | la.Difference) -> str:
        if isinstance(program, la.Count):
            return str(self._size(program.group))
        a, b = self._pair(program.a, program.b)
        sign, value = ("+", a + b) if isinstance(program, la.Total) else ("-", a - b)
        if value < 0:
            raise Unanswerable("the first group is the smaller one")
        if self.trace:
            self._step("Calculate", f"{a} {sign} {b}", "res", f"The result is {value}.", "calculating")
        return str(value)

    def _decide(self, program: la.Program) -> bool:
        match program:
            case la.Exists(group):
                found = self.members(group)
                self.targets.extend(found)
                verdict, why, skill = bool(found), f"There are {len(found)}.", "existence"
            case la.CompareCounts(op, first, second):
                n, m = self._pair(first, second)
                verdict, why, skill = (
                    {"more": n > m, "fewer": n < m, "equal": n == m}[op],
                    f"{n} against {m}.",
                    "calculating",
                )
            case la.CompareSize(op, a, b):
                i, j = self._two(a, b)
                small, large = sorted((self.scene.areas[i], self.scene.areas[j]))
                if large < RATIO * small:
                    raise Unanswerable("the two are too much alike in size")
                verdict = (self.scene.areas[i] == large) == (op == "larger")
                why, skill = f"The first is {'larger' if self.scene.areas[i] == large else 'smaller'}.", "calculating"
            case la.Same(name, a, b):
                i, j = self._two(a, b)
                v, w = self.scene.attribute(i, name), self.scene.attribute(j, name)
                if v is None or w is None:
                    raise Unanswerable(f"the {name} is not annotated")
                verdict, why, skill = v == w, f"The {name} is {v} and {w}.", "referencing"
            case la.Related(place, a, b):
                i, j = self._two(a, b)
                side = self.scene.beside(i, place, j)
                if side is None:
                    raise Unanswerable("the two are too close to the line to tell")
                verdict, why, skill = side, "The centres are compared.", "relationship"
            case la.Connect(op, left, right):
                both = (self._decide(left), self._decide(right))
                verdict = all(both) if op == "and" else any(both)
                why, skill = f"{both[0]} {op} {both[1]}.", "calculating"
            case la.Verify(query, value):
                found_value = self._answer(query)
                verdict, why, skill = found_value == value, f"It is {found_value}, asked was {value}.", "existence"
            case _:
                raise TypeError(f"not a yes/no program: {program!r}")
        if self.trace:
            self._step(
                "Calculate", type(program).__name__.lower(), "res", f"{why} So: {'Yes' if verdict else 'No'}.", skill
            )
        return verdict

    def _two(self, a: la.Referent, b: la.Referent) -> tuple[int, int]:
        i, j = self._target(a), self._target(b)
        if i == j:
            raise Unanswerable("both are the same object")
        return i, j

#!/usr/bin/env python3
"""Copies kernels/cuda so that each barrier and each comparison of its device code can be left out at run time.

    mutable_kernels.py FOLDER

A barrier becomes one that is not there, a comparison one that finds nothing to stop at: false in front of a return,
continue or break, true elsewhere. Loops keep theirs: without it they have no end. FOLDER/places.txt numbers them all, and
says in which function each is."""

import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
FOLDER = ROOT / "kernels" / "cuda"
MOST_PLACES = int(re.search(r"kMostPlaces = (\d+)", (ROOT / "tests/device_emulator/engine/thread.h").read_text())[1])
DEVICE_FUNCTION = re.compile(r"__(?:global|device)__")
FUNCTION_NAME = re.compile(r"\b(?!__\w*__\b)(\w+) ?\(")  # __launch_bounds__(...) comes before it
BARRIER = re.compile(r"__syncthreads\(\)")
COMPARISON = re.compile(r" (?:<=?|>=?) ")
# A parenthesis behind these holds no check that could be left out.
OTHER_HEADS = re.compile(r"(?:\bfor|\bwhile|\bif constexpr|\bstatic_assert|__launch_bounds__) ?$")
TEMPLATE = re.compile(r"\btemplate ?$")
EXITS = re.compile(r"\s*\{?\s*(?:return\b|continue\b|break\b|note_fault)")
OPEN, CLOSE = "([{", ")]}"


def closing(text, begin):
    """Place of the bracket that closes the one at `begin`."""
    depth = 0
    for place in range(begin, len(text)):
        depth += (text[place] in OPEN) - (text[place] in CLOSE)
        if depth == 0:
            return place
    raise ValueError(f"no end of {text[begin : begin + 40]!r}")


def without_comments(text):
    """The same, with blanks for comments: places stay what they are."""
    return re.sub(r"//[^\n]*|/\*.*?\*/", lambda found: re.sub(r"[^\n]", " ", found.group()), text, flags=re.S)


def bodies(text):
    """Names of device functions, and where their bodies begin and end."""
    end = 0
    for found in DEVICE_FUNCTION.finditer(text):
        if found.start() < end:
            continue
        place = found.end()
        while text[place] not in ";{":
            place = closing(text, place) + 1 if text[place] == "(" else place + 1
        if text[place] == "{":
            end = closing(text, place)
            yield FUNCTION_NAME.search(text, found.end(), place)[1], place, end


def left_bound(text, place):
    """Where the operand begins that ends at `place`."""
    depth = 0
    while True:
        before = text[place - 1]
        depth += (before in CLOSE) - (before in OPEN)
        if depth < 0 or (depth == 0 and (before in ";{},?" or text[place - 2 : place] in ("&&", "||"))):
            return place
        if depth == 0 and (text[place - 2 : place] in ("= ", ": ") or text[place - 7 : place] == "return "):
            return place
        place -= 1


def right_bound(text, place):
    depth = 0
    while True:
        depth += (text[place] in OPEN) - (text[place] in CLOSE)
        if depth < 0 or (depth == 0 and (text[place] in ";," or text[place : place + 3] in (" &&", " ||", " : ", " ? "))):
            return place
        place += 1


def enclosing(text, begin, place):
    """Where the innermost bracket around `place` opens, not before `begin`."""
    depth = 0
    while place > begin:
        place -= 1
        depth += (text[place] in CLOSE) - (text[place] in OPEN)
        if depth < 0:
            return place
    return begin


def is_exit(text, begin, place):
    """Whether the condition around `place` leads out of what comes after it."""
    head = enclosing(text, begin, place)
    while text[head] == "(" and not re.search(r"\bif $", text[:head]):
        head = enclosing(text, begin, head)
    return text[head] == "(" and EXITS.match(text, closing(text, head) + 1) is not None


def comparisons(text, begin, end):
    for found in COMPARISON.finditer(text, begin, end):
        head = enclosing(text, begin, found.start())
        if TEMPLATE.search(text[: found.start()]) or (text[head] == "(" and OTHER_HEADS.search(text[:head])):
            continue
        left = left_bound(text, found.start())
        left += len(text[left:]) - len(text[left:].lstrip())
        yield left, right_bound(text, found.end()), not is_exit(text, begin, found.start())


def places(text):
    """(begin, end, what is there instead, with {n} for its number and {old} for itself, function) in order."""
    for function, begin, end in bodies(text):
        found = [(f.start(), f.end(), "(dml::emulator::is_left_out({n}) ? void() : {old})")
                 for f in BARRIER.finditer(text, begin, end)]  # fmt: skip
        for left, right, value in comparisons(text, begin, end):
            form = "(dml::emulator::is_left_out({n}) || ({old}))" if value else "(!dml::emulator::is_left_out({n}) && ({old}))"
            found.append((left, right, form))
        yield from ((*place, function) for place in sorted(found))


def main():
    target = pathlib.Path(sys.argv[1])
    listed = []
    for path in sorted([*FOLDER.rglob("*.cu"), *FOLDER.rglob("*.cuh")]):
        text = path.read_text()
        name = path.relative_to(ROOT)
        copy, done = [f'#line 1 "{name}"\n'], 0
        for begin, end, form, function in places(without_comments(text)):
            old = text[begin:end]
            copy += [text[done:begin], form.format(n=len(listed), old=old)]
            done = end
            line = text.count("\n", 0, begin) + 1
            listed.append(f"{len(listed)} {name}:{line} {' '.join(old.split())} in {function}\n")
        copy.append(text[done:])
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        (target / name).write_text("".join(copy))
    if len(listed) > MOST_PLACES:
        sys.exit(f"{len(listed)} places are more than the {MOST_PLACES} of kMostPlaces in tests/device_emulator/engine/thread.h")
    (target / "places.txt").write_text("".join(listed))


if __name__ == "__main__":
    main()

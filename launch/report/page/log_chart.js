// What charts with logarithmic axes are made of.
"use strict";

function svgElement(tag, attributes, text) {
  const node = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  if (text) node.textContent = text;
  return node;
}

/** The products of `digits` and powers of ten whose logarithms lie between `low` and `high`. */
function logMarks(digits, low, high) {
  const marks = [];
  for (let power = Math.floor(low / Math.LN10); power <= Math.ceil(high / Math.LN10); ++power) {
    for (const digit of digits) {
      const value = digit * 10 ** power;
      if (Math.log(value) >= low && Math.log(value) <= high) marks.push(value);
    }
  }
  return marks;
}

/** A logarithmic axis over `values` from pixel `from` to `to`, with marks at 1, 2 and 5 times powers of ten, or at all
 * digits where these are few. */
function logAxis(values, from, to) {
  const low = Math.log(Math.min(...values) * 0.9), high = Math.log(Math.max(...values) * 1.1);
  const place = value => from + (to - from) * (Math.log(value) - low) / (high - low);
  const few = logMarks([1, 2, 5], low, high);
  const marks = few.length > 2 ? few : logMarks([1, 1.5, 2, 3, 4, 5, 6, 7, 8, 9], low, high);
  return { place, marks };
}

/** The lines and texts of both axes in an <svg>: x from `left` to `right`, y from `bottom` up to `top`, in pixels. */
function axisLines(x, y, { left, right, top, bottom }, xText, yText) {
  const parts = [];
  for (const value of x.marks) {
    const at = x.place(value);
    parts.push(svgElement("line", { class: "axis", x1: at, x2: at, y1: top, y2: bottom }));
    parts.push(svgElement("text", { x: at, y: bottom + 16, "text-anchor": "middle" }, xText(value)));
  }
  for (const value of y.marks) {
    const at = y.place(value);
    parts.push(svgElement("line", { class: "axis", x1: left, x2: right, y1: at, y2: at }));
    parts.push(svgElement("text", { x: left - 6, y: at + 4, "text-anchor": "end" }, yText(value)));
  }
  return parts;
}

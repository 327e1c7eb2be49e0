// Numbers as a person reads them, and what pages are made of.
"use strict";

function scaled(number, unit) {
  const prefixes = ["", "k", "M", "G", "T", "P", "E"];
  let power = 0;
  while (Math.abs(number) >= 999.5 && power < prefixes.length - 1) {
    number /= 1000;
    ++power;
  }
  return `${Number(number.toPrecision(3))} ${prefixes[power]}${unit}`;
}
function bytesText(number) {
  const units = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];
  let power = 0;
  while (number >= 1024 && power < units.length - 1) {
    number /= 1024;
    ++power;
  }
  return `${Number(number.toPrecision(3))} ${units[power]}`;
}

function counted(number, word, plural = `${word}s`) { return `${number} ${number === 1 ? word : plural}`; }

function idText(phase, m, stage, d, t, n) { return `${phase}.m${m}.s${stage}.d${d}.t${t}.n${n}`; }

function element(tag, text, ...children) {
  const node = document.createElement(tag);
  if (text) node.textContent = text;
  node.append(...children);
  return node;
}

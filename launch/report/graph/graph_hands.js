// What a person does to the view: wheel, drag, pinch, click, keys, search, buttons.
"use strict";

const CLICK = 4;  // pixels that a pointer may move between press and release of a click

class Hands {
  constructor(view) {
    this.view = view;
    this.field = document.getElementById("search");
    this.pointers = new Map();
    this.moved = 0;
    new ResizeObserver(() => view.resize()).observe(view.canvas);
    window.addEventListener("hashchange", () => view.followHash());
    this.takePointers(view.canvas);
    this.takeSearch();
    this.takeButtons();
    document.addEventListener("keydown", event => this.press(event));
  }

  takePointers(canvas) {
    const {view} = this;
    canvas.addEventListener("wheel", event => {
      event.preventDefault();
      const lines = event.deltaMode === 1 ? 20 : 1, speed = event.ctrlKey ? 0.01 : 0.0016;
      view.zoomBy(Math.exp(-event.deltaY * lines * speed), event.offsetX, event.offsetY);
    }, {passive: false});
    canvas.addEventListener("pointerdown", event => {
      canvas.setPointerCapture(event.pointerId);
      this.pointers.set(event.pointerId, event);
      this.moved = 0;
    });
    canvas.addEventListener("pointermove", event => this.drag(event));
    canvas.addEventListener("pointerup", event => {
      this.release(event);
      if (this.moved <= CLICK) view.select(view.boxAt(event.offsetX, event.offsetY));
    });
    canvas.addEventListener("pointercancel", event => this.release(event));
    canvas.addEventListener("dblclick", event => view.zoomTo(view.boxAt(event.offsetX, event.offsetY)));
  }
  /** One pointer moves the plane, two zoom it. */
  drag(event) {
    const last = this.pointers.get(event.pointerId), {view} = this;
    if (!last) return;
    const other = [...this.pointers.values()].find(pointer => pointer !== last);
    if (other) {
      const distance = e => Math.hypot(e.offsetX - other.offsetX, e.offsetY - other.offsetY);
      view.zoomBy(distance(event) / Math.max(1, distance(last)), event.offsetX, event.offsetY);
    } else {
      view.panBy(event.offsetX - last.offsetX, event.offsetY - last.offsetY);
    }
    this.moved += Math.hypot(event.offsetX - last.offsetX, event.offsetY - last.offsetY);
    this.pointers.set(event.pointerId, event);
    view.canvas.classList.toggle("drag", this.moved > CLICK);
  }
  release(event) {
    this.pointers.delete(event.pointerId);
    this.view.canvas.classList.remove("drag");
  }

  takeSearch() {
    this.field.addEventListener("input", () => this.view.search(this.field.value));
    this.field.addEventListener("keydown", event => {
      if (event.key === "Enter") {
        const [first] = this.view.search(this.field.value);
        if (first) this.view.zoomTo(first);
      }
      if (event.key === "Escape") {
        this.field.value = "";
        this.view.search("");
        this.view.canvas.focus();
      }
    });
  }

  takeButtons() {
    const {view} = this, button = id => document.getElementById(id);
    button("in").onclick = () => view.zoomBy(1.6);
    button("out").onclick = () => view.zoomBy(1 / 1.6);
    button("fit").onclick = () => view.goTo(view.scene.root);
    for (const {name} of view.graph.times) button("colour").append(new Option(`by ${name} time`, name));
    button("colour").onchange = event => {
      view.colour = event.target.value;
      view.readColours();
      view.redraw();
    };
  }

  press(event) {
    const {view} = this, step = 80;
    if (event.target === this.field) return;
    switch (event.key) {
      case "+":
      case "=":
        return view.zoomBy(1.6);
      case "-":
        return view.zoomBy(1 / 1.6);
      case "0":
        return view.goTo(view.scene.root);
      case "ArrowLeft":
        return view.panBy(step, 0);
      case "ArrowRight":
        return view.panBy(-step, 0);
      case "ArrowUp":
        return view.panBy(0, step);
      case "ArrowDown":
        return view.panBy(0, -step);
      case "Escape":
        return view.selected.parent && view.goTo(view.selected.parent);
      case "/":
        event.preventDefault();
        return this.field.focus();
    }
  }
}

"""A drawing pad: mouse, finger or pen sprays red and blue points, which come back to Python."""

from __future__ import annotations

from typing import Any

import streamlit as st

from nnlab.points import MAX_POINTS

_HTML = """
<div class="bar" role="group" aria-label="Brush">
  <button type="button" id="blue" aria-pressed="false"><span class="dot"></span>Blue</button>
  <button type="button" id="red" aria-pressed="true"><span class="triangle"></span>Red</button>
  <button type="button" id="undo">Undo</button>
  <button type="button" id="clear">Clear</button>
</div>
<canvas role="img" aria-label="Drawing pad: press and move to spray points"></canvas>
<p id="count" aria-live="polite"></p>
"""

# Streamlit sets the --st variables to the theme the visitor sees.
_CSS = """
:host, .bar, p { font-family: var(--st-font); font-size: 0.875rem; color: var(--st-text-color); }
.bar { display: flex; flex-wrap: wrap; gap: 0.5rem; margin-bottom: 0.5rem; }
button {
  display: flex; align-items: center; gap: 0.4rem; min-height: 2.5rem; padding: 0 0.75rem; font: inherit;
  color: inherit; background: transparent; border: 1px solid var(--st-border-color); border-radius: 0.5rem;
  cursor: pointer;
}
button[aria-pressed="true"] { background: var(--st-secondary-background-color); font-weight: 600;
  border-color: var(--st-text-color); }
button:focus-visible { outline: 3px solid var(--st-primary-color); outline-offset: 2px; }
button:disabled { opacity: 0.5; cursor: default; }
.dot { width: 0.8rem; height: 0.8rem; border-radius: 50%; background: #0072B2; }
.triangle { border: 0.45rem solid transparent; border-top: 0; border-bottom: 0.8rem solid #D55E00; }
canvas {
  display: block; box-sizing: border-box; width: min(100%, 26rem); aspect-ratio: 1; touch-action: none;
  cursor: crosshair; border: 1px solid var(--st-border-color); border-radius: 0.5rem;
  background: var(--st-secondary-background-color);
}
p { margin: 0.5rem 0 0; }
"""

# A point is [x, y, label]: 0..1 from the left and from the bottom; label 0 is blue, 1 is red.
_JS = """
const COLORS = ["#0072B2", "#D55E00"], TRIANGLE = [[0, -1.2], [1.1, 0.9], [-1.1, 0.9]];
const SPRAY = 0.05, EVERY_MS = 40;
const latest = new WeakMap();

function start({ parentElement, data }) {
  const find = (selector) => parentElement.querySelector(selector);
  const canvas = find("canvas"), pen = canvas.getContext("2d");
  const brushes = [find("#blue"), find("#red")];
  let strokes = data.points.length ? [data.points] : [], brush = 1, spraying = null, last = 0;
  const points = () => strokes.flat();

  function mark([x, y, label]) {
    const size = canvas.width / 90, left = x * canvas.width, top = (1 - y) * canvas.height;
    pen.beginPath();
    if (label === 0) pen.arc(left, top, size, 0, 2 * Math.PI);
    else TRIANGLE.forEach(([dx, dy]) => pen.lineTo(left + dx * size, top + dy * size));
    pen.closePath();
    pen.fillStyle = COLORS[label];
    pen.strokeStyle = "#ffffff";
    pen.lineWidth = size / 4;
    pen.fill();
    pen.stroke();
  }

  function draw() {
    canvas.width = canvas.height = Math.max(1, Math.round(canvas.clientWidth * devicePixelRatio));
    points().forEach(mark);
    const blue = points().filter((point) => point[2] === 0).length, all = points().length;
    const full = all >= data.most ? `; ${data.most} are the most` : "";
    find("#count").textContent = `${blue} blue, ${all - blue} red points${full}`;
    find("#undo").disabled = find("#clear").disabled = all === 0;
    brushes.forEach((button, label) => button.setAttribute("aria-pressed", String(label === brush)));
  }

  function spray(event) {
    if (points().length >= data.most) return;
    const box = canvas.getBoundingClientRect();
    const angle = 2 * Math.PI * Math.random(), radius = SPRAY * Math.sqrt(Math.random());
    const x = (event.clientX - box.left) / box.width + radius * Math.cos(angle);
    const y = 1 - (event.clientY - box.top) / box.height + radius * Math.sin(angle);
    if (x < 0 || x > 1 || y < 0 || y > 1) return;
    spraying.push([x, y, brush]);
    draw();
  }

  const send = () => { draw(); latest.get(parentElement).setStateValue("points", points()); };
  canvas.onpointerdown = (event) => {
    if (event.button !== 0 || spraying) return;
    canvas.setPointerCapture(event.pointerId);
    strokes.push(spraying = []);
    last = event.timeStamp;
    spray(event);
  };
  canvas.onpointermove = (event) => {
    if (!spraying || event.timeStamp - last < EVERY_MS) return;
    last = event.timeStamp;
    spray(event);
  };
  canvas.onpointerup = canvas.onpointercancel = () => {
    if (!spraying) return;
    spraying = null;
    strokes = strokes.filter((stroke) => stroke.length);
    send();
  };
  brushes.forEach((button, label) => { button.onclick = () => { brush = label; draw(); }; });
  find("#undo").onclick = () => { strokes.pop(); send(); };
  find("#clear").onclick = () => { strokes = []; send(); };

  new ResizeObserver(draw).observe(canvas);
  draw();
}

// Streamlit calls this again after every rerun: the pad then goes on as it is, strokes and all.
export default function (component) {
  const isNew = !latest.has(component.parentElement);
  latest.set(component.parentElement, component);
  if (isNew) start(component);
}
"""

_PAD = st.components.v2.component("nnlab_drawing_pad", html=_HTML, css=_CSS, js=_JS)


def pad(key: str) -> list[Any] | None:
    """Show a drawing pad; give what the browser sent, unchecked: `points_from_drawing` checks it.

    None until something is drawn; [] once it is cleared.
    """
    # Streamlit forgets a component that a rerun leaves out: after a visit to another page or source of
    # points, the pad begins with what it held.
    kept = f"{key}_kept"
    result = _PAD(
        key=key,
        data={"points": st.session_state.get(kept) or [], "most": MAX_POINTS},
        on_points_change=lambda: None,
    )
    if isinstance(result.points, list):
        st.session_state[kept] = result.points
    return st.session_state.get(kept)

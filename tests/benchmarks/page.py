"""Pages of `spinase view` without a graphics processor: milliseconds from one frame to the next, and while the camera turns.

    python tests/benchmarks/page.py [OTHER_TREE] [--sites 10000]

Headless Chromium draws with SwiftShader, on the processor.  The page plays frames as fast as it can, each shown before
the next is asked for; then its camera is dragged.  Pages of this tree and of the other take turns; CPU is that of the
browser's processes.
"""

from __future__ import annotations

import argparse
import http.server
import json
import os
import queue
import shutil
import signal
import subprocess
import tempfile
import threading
from pathlib import Path

import numpy as np

from spinase import SpinAtoms
from spinase.io.run_file import Run
from spinase.viz.page import run_page

FRAMES, TURNS = 30, 2
PLAYER = """<script>
addEventListener("load", () => {
  const shown = () => new Promise((done) => requestAnimationFrame(() => setTimeout(done, 0)));
  const canvas = document.querySelector("#scene > canvas");
  const finish = () => { // wait for the drawing itself: reading a pixel back does
    const gl = canvas.getContext("webgl2");
    gl.readPixels(0, 0, 1, 1, gl.RGBA, gl.UNSIGNED_BYTE, new Uint8Array(4));
  };
  const slider = document.getElementById("time");
  const timed = async (change) => {
    const times = [];
    await fetch("/mark");
    for (let k = 0; k < @FRAMES@; k++) {
      const start = performance.now();
      change(k);
      await shown();
      finish();
      times.push(performance.now() - start);
    }
    await fetch("/mark");
    return times.slice(2);
  };
  const drag = (kind, x) => canvas.dispatchEvent(new PointerEvent(kind,
    { pointerId: 1, button: 0, buttons: 1, clientX: x, clientY: 300, bubbles: true, pointerType: "mouse" }));
  setTimeout(async () => {
    canvas.setPointerCapture = canvas.releasePointerCapture = () => {};
    const { drawn, error } = document.body.dataset;
    const told = { triangles: drawn, error, size: [canvas.width, canvas.height] };
    told.frame = await timed((k) => { slider.value = k % 6; slider.dispatchEvent(new Event("input")); });
    drag("pointerdown", 300);
    told.turn = await timed((k) => drag("pointermove", 300 + 5 * k));
    fetch("/told", { method: "POST", body: JSON.stringify(told) });
  }, 300);
});
</script>"""


def magnet(sites: int) -> Run:
    """Six frames of random spins, of a plane or a cube as the number has it."""
    edge = round(sites ** (1 / 3))
    lattice, size = ("cubic", (edge,) * 3) if edge**3 == sites else ("square", (round(sites**0.5),) * 2)
    atoms = SpinAtoms.lattice(lattice, size=size, units="reduced", rng=1)
    rng = np.random.default_rng(2)
    moments = rng.normal(size=(6, len(atoms), 3))
    moments /= np.linalg.norm(moments, axis=2, keepdims=True)
    return Run(
        steps=np.arange(6), times=0.1 * np.arange(6), positions=np.repeat(atoms.positions[None], 6, axis=0), moments=moments,
        cells=np.repeat(np.array(atoms.cell)[None], 6, axis=0), numbers=atoms.numbers, pbc=atoms.pbc, results={},
        observables={}, static={}, provenance={"units": "reduced"}, energies=-np.linspace(0.0, 1.0, 6),
    )  # fmt: skip


def cpu_seconds(group: int) -> float:
    """CPU time so far of the processes of a group."""
    total = 0
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            words = stat.read_text().rsplit(")", 1)[1].split()
        except OSError:
            continue
        if int(words[2]) == group:
            total += int(words[11]) + int(words[12])
    return total / 100.0


def played(page: Path) -> dict[str, object]:
    """What the browser tells of one page, and its processes' CPU seconds."""
    told: queue.Queue[dict[str, object]] = queue.Queue()
    marks: list[float] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if self.path == "/mark":
                marks.append(cpu_seconds(process.pid))
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write(page.read_bytes() if self.path == "/" else b"")

        def do_POST(self) -> None:
            told.put(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    browser = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))))
    flags = (
        "--headless --no-sandbox --no-first-run --disable-background-networking --disable-component-update --disable-sync"
    )
    flags += " --use-angle=swiftshader --enable-unsafe-swiftshader --window-size=1200,900 --remote-debugging-port=0"
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as user:
        command = [browser, *flags.split(), f"--user-data-dir={user}", f"http://127.0.0.1:{server.server_port}/"]
        quiet = subprocess.DEVNULL
        process = subprocess.Popen(command, start_new_session=True, stdin=quiet, stdout=quiet, stderr=quiet)
        try:
            return {**told.get(timeout=60), "cpu": 1e3 / FRAMES * np.diff(marks)[::2]}
        finally:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            server.shutdown()


def main() -> None:
    """Print a row for every tree."""
    parser = argparse.ArgumentParser()
    parser.add_argument("other", nargs="?", type=Path)
    parser.add_argument("--sites", type=int, default=10_000)
    asked = parser.parse_args()
    here = Path(__file__).parents[2]
    with tempfile.TemporaryDirectory() as folder:
        page = run_page(magnet(asked.sites), Path(folder) / "page.html").read_text().replace("</body>", PLAYER + "</body>")
        page = page.replace("@FRAMES@", str(FRAMES))
        pages = {"this": page}
        if asked.other:
            for name in ("viewer.js", "libraries.min.js"):
                ours, theirs = ((tree / "spinase/viz/page_files" / name).read_text() for tree in (here, asked.other))
                page = page.replace(ours, theirs)
            pages["other"] = page
        for _ in range(TURNS):
            for name, text in pages.items():
                place = Path(folder) / f"{name}.html"
                place.write_text(text)
                told = played(place)
                frame, turn = (np.median(np.array(told[key])) for key in ("frame", "turn"))
                cpu = told["cpu"]
                print(
                    f"{name:6s} {asked.sites} spins, {told['triangles']} triangles on {told['size']}: "
                    f"next frame {frame:6.1f} ms ({cpu[0]:.0f} of CPU), "
                    f"camera {turn:6.1f} ms ({cpu[1]:.0f} of CPU); errors: {told.get('error')}",
                    flush=True,
                )


if __name__ == "__main__":
    main()

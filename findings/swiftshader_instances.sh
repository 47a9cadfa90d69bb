#!/usr/bin/env bash
# Chromium without a graphics processor (SwiftShader) draws instances one after the other: ten thousand arrows of four
# triangles as instances take some seven times as long as the same forty thousand triangles as one mesh, although the mesh has
# more to read.  "Instancing makes many copies cheap" holds for graphics processors only.
# Needs: chromium (Debian's package `chromium`; tried with 150.0.7871.100).  Ends with 1 if instances take less than three
# times as long.
set -eu
browser=$(command -v chromium || command -v chromium-browser || command -v google-chrome)
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"$browser" --version
cat > "$folder/page.html" <<'PAGE'
<!DOCTYPE html><html><body><canvas id="c" width="600" height="600"></canvas><script>
const gl = document.getElementById("c").getContext("webgl2", { antialias: false });
const program = gl.createProgram();
const add = (kind, text) => { const s = gl.createShader(kind); gl.shaderSource(s, "#version 300 es\n" + text); gl.compileShader(s); gl.attachShader(program, s); };
add(gl.VERTEX_SHADER, "in vec2 corner; in vec2 place; void main() { gl_Position = vec4(place + 0.008 * corner, 0.0, 1.0); }");
add(gl.FRAGMENT_SHADER, "precision mediump float; out vec4 seen; void main() { seen = vec4(1.0); }");
gl.bindAttribLocation(program, 0, "corner"); gl.bindAttribLocation(program, 1, "place");
gl.linkProgram(program); gl.useProgram(program);
const N = 10000, shape = [0,0,1,0,0,1, 0,0,0,1,-1,0, 0,0,-1,0,0,-1, 0,0,0,-1,1,0];
const places = [...Array(N).keys()].map((i) => [(i % 100) / 50 - 0.99, Math.floor(i / 100) / 50 - 0.99]);
const fill = (slot, array, divisor) => { gl.bindBuffer(gl.ARRAY_BUFFER, gl.createBuffer()); gl.bufferData(gl.ARRAY_BUFFER, new Float32Array(array), gl.STATIC_DRAW);
  gl.vertexAttribPointer(slot, 2, gl.FLOAT, false, 0, 0); gl.enableVertexAttribArray(slot); gl.vertexAttribDivisor(slot, divisor); };
const image = new Uint8Array(4 * 600 * 600);
const timed = (draw) => { const times = []; for (let k = 0; k < 9; k++) { gl.clear(gl.COLOR_BUFFER_BIT); const start = performance.now(); draw();
  gl.readPixels(0, 0, 600, 600, gl.RGBA, gl.UNSIGNED_BYTE, image); times.push(performance.now() - start); } return times.sort((a, b) => a - b)[4]; };
const drawn = () => image.reduce((sum, x) => sum + (x === 255), 0);
fill(0, shape, 0); fill(1, places.flat(), 1);
const instances = timed(() => gl.drawArraysInstanced(gl.TRIANGLES, 0, 12, N)), one = drawn();
fill(0, places.flatMap(() => shape), 0); fill(1, places.flatMap((p) => Array(12).fill(p).flat()), 0);
const mesh = timed(() => gl.drawArrays(gl.TRIANGLES, 0, 12 * N)), other = drawn();
document.body.dataset.told = `${N} instances of 4 triangles ${instances.toFixed(1)} ms, one mesh of ${4 * N} ${mesh.toFixed(1)} ms, ratio ${(instances / mesh).toFixed(1)}, same image: ${one === other}`;
</script></body></html>
PAGE
"$browser" --headless --no-sandbox --no-first-run --disable-background-networking --user-data-dir="$folder/user" --use-angle=swiftshader \
  --enable-unsafe-swiftshader --dump-dom "file://$folder/page.html" 2> "$folder/log" > "$folder/page"
told=$(sed -n 's/.*data-told="\([^"]*\)".*/\1/p' "$folder/page")
echo "$told"
ratio=$(echo "$told" | sed -n 's/.*ratio \([0-9.]*\),.*/\1/p')
awk -v ratio="$ratio" 'BEGIN { exit !(ratio >= 3) }'

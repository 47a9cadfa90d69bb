// Shows one run: spins in 3-D by three.js, time series by uPlot.  Data: see spinase/viz/page.py.
"use strict";
(() => {
  const L = LIB;
  const data = JSON.parse(document.getElementById("data").textContent);
  const at = (id) => document.getElementById(id);
  const bytes = (text) => Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0)).buffer;
  const floats = (text) => new Float32Array(bytes(text));
  const spins = new Int16Array(bytes(data.spins)); // frames x sites x 3, 32767: 1
  const places = floats(data.positions); // 1 or frames x sites x 3
  const wheel = new Uint8Array(bytes(data.wheel)); // heights x azimuths x 3
  const count = data.sites;
  const frames = data.steps.length;
  const moving = places.length > 3 * count;
  const species = new Uint8Array(bytes(data.species));
  const colourings = data.colourings.map((one) => ({ ...one, values: floats(one.values) }));

  // -- scene
  const holder = at("scene");
  const lean = count > 3000; // arrows of four triangles
  const coarse = lean && without_graphics_processor();
  const renderer = new L.WebGLRenderer({ antialias: !coarse, preserveDrawingBuffer: !coarse });
  renderer.setClearColor(0xd5d9df); // spins that point up are white
  holder.appendChild(renderer.domElement);
  const scene = new L.Scene();
  const camera = new L.PerspectiveCamera(35, 1, 0.01 * data.size, 100 * data.size);
  const controls = new L.OrbitControls(camera, renderer.domElement);
  const centre = new L.Vector3(...data.centre);

  // Arrows and balls are one mesh each, not instances: without a graphics processor these are drawn one after the other, 25 us
  // each (findings/swiftshader_instances.sh).  Places, spins and colours are textures, a site a texel; the program of the
  // corners turns +y of the arrow along the spin.  Light comes from the camera and is reckoned at corners only.
  const across = Math.min(count, 1024);
  const texels = across * Math.ceil(count / across);
  const texture = (array, type) => {
    const made = new L.DataTexture(array, across, texels / across, L.RGBAFormat, type);
    made.needsUpdate = true;
    return made;
  };
  const place = texture(new Float32Array(4 * texels), L.FloatType);
  const spin = texture(new Float32Array(4 * texels), L.FloatType);
  const tone = texture(new Uint8Array(4 * texels), L.UnsignedByteType); // of arrows
  const species_tone = texture(new Uint8Array(4 * texels), L.UnsignedByteType);
  const copies = (shape, tones, turned) => {
    const corners = shape.getAttribute("position").count;
    const geometry = new L.BufferGeometry();
    for (const name of ["position", "normal"]) {
      const array = new Float32Array(3 * corners * count);
      for (let i = 0; i < count; i++) array.set(shape.getAttribute(name).array, 3 * corners * i);
      geometry.setAttribute(name, new L.BufferAttribute(array, 3));
    }
    const index = shape.index ? shape.index.array : [...Array(corners).keys()];
    const all = new Uint32Array(index.length * count);
    for (let i = 0; i < count; i++) for (let k = 0; k < index.length; k++) all[i * index.length + k] = i * corners + index[k];
    geometry.setIndex(new L.BufferAttribute(all, 1));
    const material = new L.ShaderMaterial({
      glslVersion: L.GLSL3,
      uniforms: { place: { value: place }, spin: { value: spin }, tone: { value: tones } },
      vertexShader: `
        uniform sampler2D place, spin, tone;
        out vec3 shade;
        void main() {
          int site = gl_VertexID / ${corners};
          ivec2 texel = ivec2(site % ${across}, site / ${across});
          vec3 along = ${turned ? "texelFetch(spin, texel, 0).xyz" : "vec3(0.0, 1.0, 0.0)"};
          float size = length(along);
          vec3 up = along / max(size, 1e-3);
          vec3 side = normalize(abs(up.z) < 0.9 ? vec3(up.y, -up.x, 0.0) : vec3(0.0, up.z, -up.y));
          mat3 turn = mat3(side, up, cross(side, up));
          vec3 face = normalMatrix * (turn * normal);
          shade = texelFetch(tone, texel, 0).rgb * min(1.0, 0.7 + 0.32 * max(0.0, face.z));
          vec3 there = texelFetch(place, texel, 0).xyz + step(0.5, size) * (turn * position);
          gl_Position = projectionMatrix * modelViewMatrix * vec4(there, 1.0);
        }`,
      fragmentShader: "in vec3 shade; out vec4 seen; void main() { seen = vec4(shade, 1.0); }",
    });
    const mesh = new L.Mesh(geometry, material);
    mesh.frustumCulled = false;
    scene.add(mesh);
    return mesh;
  };
  const radius = data.spacing;
  const many = count > 2000; // fat arrows can still be seen when there are many
  const arrows = copies(lean ? pyramid() : arrow(many ? 1.8 : 1), tone, true);
  const balls = copies(new L.IcosahedronGeometry(0.11 * radius, lean ? 0 : 1), species_tone, false);

  function without_graphics_processor() {
    const gl = document.createElement("canvas").getContext("webgl2");
    if (!gl) return false; // three.js says so
    const told = gl.getExtension("WEBGL_debug_renderer_info");
    const name = gl.getParameter(told ? told.UNMASKED_RENDERER_WEBGL : gl.RENDERER);
    gl.getExtension("WEBGL_lose_context")?.loseContext();
    return /swiftshader|llvmpipe|softpipe|basic render/i.test(name);
  }
  function arrow(width) {
    const shaft = new L.CylinderGeometry(0.07 * width * radius, 0.07 * width * radius, 0.5 * radius, 12);
    shaft.translate(0, -0.17 * radius, 0);
    const head = new L.ConeGeometry(0.2 * width * radius, 0.42 * radius, 12);
    head.translate(0, 0.24 * radius, 0);
    return L.mergeGeometries([shaft, head]);
  }
  function pyramid() { // four corners, four triangles
    const corners = [0, 0.45, 0];
    const normals = [0, 1, 0];
    for (const angle of [0, 2, 4].map((k) => (k * Math.PI) / 3)) {
      corners.push(0.33 * Math.sin(angle), -0.45, 0.33 * Math.cos(angle));
      normals.push(0.75 * Math.sin(angle), -0.66, 0.75 * Math.cos(angle));
    }
    const geometry = new L.BufferGeometry();
    geometry.setAttribute("position", new L.Float32BufferAttribute(corners.map((x) => x * radius), 3));
    geometry.setAttribute("normal", new L.Float32BufferAttribute(normals, 3));
    geometry.setIndex([0, 1, 2, 0, 2, 3, 0, 3, 1, 1, 3, 2]);
    return geometry;
  }
  const lines = (points, colour) => {
    const geometry = new L.BufferGeometry();
    geometry.setAttribute("position", new L.BufferAttribute(points, 3));
    const made = new L.LineSegments(geometry, new L.LineBasicMaterial({ color: colour }));
    scene.add(made);
    return made;
  };
  const bonds = lines(new Float32Array(0), 0x999999);
  const pairs = new Int32Array(bytes(data.bonds));
  const box = lines(floats(data.box), 0x555555);

  // -- colours, 0..255
  const rgb = (text) => [1, 3, 5].map((k) => parseInt(text.slice(k, k + 2), 16));
  const hex = (colour) => `#${colour.map((x) => Math.round(x).toString(16).padStart(2, "0")).join("")}`;
  const species_colours = ["#8c8c8c", "#e69f00", "#56b4e9", "#009e73", "#f0e442", "#cc79a7"].map(rgb);
  const of_species = (k) => species_colours[k % species_colours.length];
  for (let i = 0; i < count; i++) species_tone.image.data.set(of_species(species[i]), 4 * i);
  const mixed = (from, to, part) => rgb(from).map((x, k) => x + part * (rgb(to)[k] - x));
  const by_value = (value, low, high) => {
    if (low < 0 && high > 0) {
      const part = value / Math.max(-low, high);
      return part < 0 ? mixed("#dddddd", "#0058a3", -part) : mixed("#dddddd", "#b2182b", part);
    }
    const part = high > low ? (value - low) / (high - low) : 0;
    return part < 0.5 ? mixed("#fde725", "#21918c", 2 * part) : mixed("#21918c", "#440154", 2 * part - 1);
  };
  const [rows, columns] = data.wheel_shape;
  const on_wheel = (x, y, z) => { // where the colour of a direction begins
    const row = Math.min(rows - 1, Math.max(0, Math.round(((z + 1) / 2) * (rows - 1))));
    return 3 * (row * columns + (Math.round((Math.atan2(y, x) / (2 * Math.PI) + 1) * columns) % columns));
  };
  function paint_directions() {
    const { image: from } = spin;
    for (let k = 0; k < 4 * count; k += 4) {
      const start = on_wheel(from.data[k], from.data[k + 1], from.data[k + 2]);
      for (let a = 0; a < 3; a++) tone.image.data[k + a] = wheel[start + a];
    }
  }
  function paint_values(values, low, high) {
    const steps = 255;
    const table = [...Array(steps + 1).keys()].map((k) => by_value(low + ((high - low) * k) / steps, low, high));
    const scale = high > low ? steps / (high - low) : 0;
    for (let i = 0; i < count; i++) tone.image.data.set(table[Math.round(scale * (values(i) - low))] || table[0], 4 * i);
  }

  // -- one frame
  let frame = 0;
  function draw() {
    const start = 3 * count * frame;
    const origin = moving ? start : 0;
    const choice = at("colour").value;
    const coloured = colourings.find((each) => each.name === choice);
    for (let i = 0; i < count; i++) {
      for (let a = 0; a < 3; a++) {
        place.image.data[4 * i + a] = places[origin + 3 * i + a];
        spin.image.data[4 * i + a] = spins[start + 3 * i + a] / 32767;
      }
    }
    if (choice === "direction") paint_directions();
    else if (choice === "s_z") paint_values((i) => spin.image.data[4 * i + 2], -1, 1);
    else if (choice === "species") tone.image.data.set(species_tone.image.data);
    else paint_values((i) => coloured.values[frame * count + i], coloured.low, coloured.high);
    for (const changed of [place, spin, tone]) changed.needsUpdate = true;
    if (at("bonds").checked) {
      const points = new Float32Array(3 * pairs.length);
      pairs.forEach((site, k) => points.set(places.subarray(origin + 3 * site, origin + 3 * site + 3), 3 * k));
      bonds.geometry.setAttribute("position", new L.BufferAttribute(points, 3));
    }
    arrows.visible = at("arrows").checked;
    balls.visible = at("sites").checked;
    bonds.visible = at("bonds").checked;
    box.visible = at("box").checked;
    at("now").textContent = `step ${data.steps[frame]}, time ${data.times[frame].toPrecision(5)} ${data.time_unit}`;
    document.body.dataset.frame = frame;
    mark_time();
    render();
  }

  // One image for all changes before the next refresh.
  let asked_for = false;
  function render() {
    if (asked_for) return;
    asked_for = true;
    requestAnimationFrame(() => {
      asked_for = false;
      renderer.render(scene, camera);
    });
  }
  // -- key of the colours
  function show_key() {
    const choice = at("colour").value;
    const key = at("key");
    key.replaceChildren();
    if (choice === "direction") {
      const canvas = document.createElement("canvas");
      const size = (canvas.width = canvas.height = 76);
      const image = canvas.getContext("2d").createImageData(size, size);
      for (let i = 0; i < size; i++) {
        for (let j = 0; j < size; j++) {
          const x = (2 * j) / (size - 1) - 1;
          const y = 1 - (2 * i) / (size - 1);
          const r = Math.hypot(x, y);
          const z = Math.cos(Math.PI * Math.min(r, 1));
          const k = on_wheel(x, y, z);
          image.data.set([wheel[k], wheel[k + 1], wheel[k + 2], r <= 1 ? 255 : 0], 4 * (i * size + j));
        }
      }
      canvas.getContext("2d").putImageData(image, 0, 0);
      key.append(canvas, "right: +x, up: +y\nlight: +z, dark: -z");
    } else if (choice === "species") {
      data.symbols.forEach((symbol, k) => {
        const word = document.createElement("b");
        word.textContent = symbol;
        word.style.color = hex(of_species(k));
        key.append(word);
      });
    } else {
      const told = colourings.find((each) => each.name === choice) || { label: "s_z", low: -1, high: 1 };
      const stripe = document.createElement("span");
      const parts = [...Array(9).keys()].map((k) => hex(by_value(told.low + ((told.high - told.low) * k) / 8, told.low, told.high)));
      stripe.style.cssText = `width: 120px; height: 14px; background: linear-gradient(to right, ${parts})`;
      key.append(`${told.label}: ${told.low.toPrecision(3)}`, stripe, told.high.toPrecision(3));
    }
  }

  // -- time series
  let plot = null;
  const mark = document.createElement("div"); // moved, where drawing the series anew would take its time
  mark.id = "mark";
  function mark_time() {
    const x = plot ? plot.valToPos(data.times[frame], "x") : NaN; // NaN also until the series is drawn
    mark.hidden = !(x >= 0 && x <= plot.over.clientWidth);
    if (mark.hidden) return;
    mark.style.left = `${x - 1}px`;
    document.body.dataset.cursor = data.times[frame];
  }
  function show_series() {
    if (plot) plot.destroy();
    plot = null;
    const told = data.series[at("quantity").value];
    if (!told) return;
    const size = { width: at("series").clientWidth, height: at("series").clientHeight };
    plot = new L.uPlot(
      {
        ...size,
        scales: { x: { time: false } },
        axes: [{ label: `time (${data.time_unit})`, labelSize: 18, size: 34 }, { label: told.label, size: 80, labelFont: "11px system-ui", labelSize: 16 }],
        series: [{ label: "time" }, { label: told.label, stroke: "#0072b2", width: 1.5, points: { show: told.times.length < 60 } }],
        legend: { show: false },
        cursor: { show: false },
        hooks: { draw: [mark_time] },
      },
      [told.times, told.values],
      at("series"),
    );
    plot.over.append(mark);
    plot.over.addEventListener("click", (event) => {
      const time = plot.posToVal(event.offsetX, "x");
      const away = data.times.map((value) => Math.abs(value - time));
      go(away.indexOf(Math.min(...away)));
    });
  }

  // -- controls
  function go(k) {
    frame = Math.min(frames - 1, Math.max(0, k));
    at("time").value = frame;
    draw();
  }
  function look(direction, upward) {
    const distance = (0.5 * data.size) / Math.tan((Math.PI * camera.fov) / 360) / Math.min(1, camera.aspect);
    camera.up.set(...upward);
    camera.position.copy(centre).addScaledVector(new L.Vector3(...direction).normalize(), distance);
    controls.target.copy(centre);
    controls.update();
    render();
  }
  function resize() {
    renderer.setSize(holder.clientWidth, holder.clientHeight);
    camera.aspect = holder.clientWidth / Math.max(holder.clientHeight, 1);
    camera.updateProjectionMatrix();
    show_series();
    draw();
  }
  let playing = false;
  let due = 0;
  function play(now) {
    if (!playing) return;
    if (now >= due) {
      due = now + 80;
      go((frame + 1) % frames);
    }
    requestAnimationFrame(play);
  }
  at("play").onclick = () => {
    playing = !playing;
    at("play").textContent = playing ? "stop" : "play";
    requestAnimationFrame(play);
  };
  for (const name of ["direction", "s_z", "species", ...colourings.map((each) => each.name)]) at("colour").add(new Option(name));
  data.series.forEach((told, k) => at("quantity").add(new Option(told.label, k)));
  at("time").max = frames - 1;
  at("time").oninput = () => go(Number(at("time").value));
  at("colour").onchange = () => {
    show_key();
    draw();
  };
  for (const id of ["arrows", "sites", "bonds", "box"]) at(id).onchange = draw;
  at("quantity").onchange = resize;
  at("above").onclick = () => look([0, 0, 1], [0, 1, 0]);
  at("aside").onclick = () => look([0.35, -1, 0.5], [0, 0, 1]);
  at("note").textContent = data.note;
  at("note").hidden = !data.note;
  controls.addEventListener("change", render);
  window.addEventListener("resize", resize);
  at("sites").checked = !many;
  show_key();
  resize();
  (data.flat ? at("above") : at("aside")).click();
  // FILE.html#frame=3&colour=s_z opens at that frame
  const asked = new URLSearchParams(location.hash.slice(1));
  if (asked.has("colour")) {
    at("colour").value = asked.get("colour");
    at("colour").onchange();
  }
  if (asked.has("bonds")) at("bonds").click();
  go(asked.has("frame") ? Number(asked.get("frame")) : frames - 1);
  renderer.render(scene, camera);
  document.body.dataset.drawn = renderer.info.render.triangles;
})();

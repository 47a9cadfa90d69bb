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
  const renderer = new L.WebGLRenderer({ antialias: count <= 3000, preserveDrawingBuffer: true });
  renderer.setClearColor(0xd5d9df); // spins that point up are white
  holder.appendChild(renderer.domElement);
  const scene = new L.Scene();
  const camera = new L.PerspectiveCamera(35, 1, 0.01 * data.size, 100 * data.size);
  const controls = new L.OrbitControls(camera, renderer.domElement);
  const centre = new L.Vector3(...data.centre);
  scene.add(new L.AmbientLight(0xffffff, 1.6));
  const sun = new L.DirectionalLight(0xffffff, 1.8);
  camera.add(sun);
  scene.add(camera);

  const radius = data.spacing;
  const many = count > 2000; // fat arrows can still be seen when there are many
  const width = many ? 1.8 : 1;
  const shaft = new L.CylinderGeometry(0.07 * width * radius, 0.07 * width * radius, 0.5 * radius, 12);
  shaft.translate(0, -0.17 * radius, 0);
  const head = new L.ConeGeometry(0.2 * width * radius, 0.42 * radius, 12);
  head.translate(0, 0.24 * radius, 0);
  // without a graphics processor the triangles count: ten thousand arrows are slender pyramids
  const arrow = count > 3000 ? new L.ConeGeometry(0.3 * radius, 0.9 * radius, 4) : L.mergeGeometries([shaft, head]);
  const arrows = new L.InstancedMesh(arrow, new L.MeshLambertMaterial(), count);
  const ball = new L.IcosahedronGeometry(0.11 * radius, count > 3000 ? 0 : 1);
  const balls = new L.InstancedMesh(ball, new L.MeshLambertMaterial(), count);
  for (const mesh of [arrows, balls]) {
    mesh.frustumCulled = false;
    scene.add(mesh);
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
  const species_colours = ["#8c8c8c", "#e69f00", "#56b4e9", "#009e73", "#f0e442", "#cc79a7"].map((one) => new L.Color(one));

  // -- one frame
  const matrix = new L.Matrix4();
  const turn = new L.Quaternion();
  const spin = new L.Vector3();
  const place = new L.Vector3();
  const one = new L.Vector3(1, 1, 1);
  const none = new L.Vector3(0, 0, 0);
  const up = new L.Vector3(0, 1, 0);
  const colour = new L.Color();
  let frame = 0;

  const by_direction = (x, y, z) => {
    const [rows, columns] = data.wheel_shape;
    const row = Math.min(rows - 1, Math.max(0, Math.round(((z + 1) / 2) * (rows - 1))));
    const column = Math.round((Math.atan2(y, x) / (2 * Math.PI) + 1) * columns) % columns;
    const k = 3 * (row * columns + column);
    colour.setRGB(wheel[k] / 255, wheel[k + 1] / 255, wheel[k + 2] / 255, "srgb");
  };
  const mixed = (from, to, part) => colour.set(from).lerp(new L.Color(to), part);
  const by_value = (value, low, high) => {
    if (low < 0 && high > 0) {
      const part = value / Math.max(-low, high);
      if (part < 0) mixed("#dddddd", "#0058a3", -part);
      else mixed("#dddddd", "#b2182b", part);
    } else {
      const part = high > low ? (value - low) / (high - low) : 0;
      if (part < 0.5) mixed("#fde725", "#21918c", 2 * part);
      else mixed("#21918c", "#440154", 2 * part - 1);
    }
  };

  function draw() {
    const start = 3 * count * frame;
    const origin = moving ? start : 0;
    const choice = at("colour").value;
    const coloured = colourings.find((each) => each.name === choice);
    for (let i = 0; i < count; i++) {
      const k = start + 3 * i;
      spin.set(spins[k] / 32767, spins[k + 1] / 32767, spins[k + 2] / 32767);
      place.fromArray(places, origin + 3 * i);
      const there = spin.lengthSq() > 0.25;
      if (choice === "direction") by_direction(spin.x, spin.y, spin.z);
      else if (choice === "s_z") by_value(spin.z, -1, 1);
      else if (choice === "species") colour.copy(species_colours[species[i] % species_colours.length]);
      else by_value(coloured.values[frame * count + i], coloured.low, coloured.high);
      arrows.setColorAt(i, colour);
      if (there) turn.setFromUnitVectors(up, spin.normalize());
      arrows.setMatrixAt(i, matrix.compose(place, turn, there ? one : none));
      balls.setMatrixAt(i, matrix.makeTranslation(place.x, place.y, place.z));
      balls.setColorAt(i, species_colours[species[i] % species_colours.length]);
    }
    for (const mesh of [arrows, balls]) {
      mesh.instanceMatrix.needsUpdate = true;
      mesh.instanceColor.needsUpdate = true;
    }
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
    if (plot) plot.redraw(false, false);
    render();
  }
  function render() {
    renderer.render(scene, camera);
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
          const [rows, columns] = data.wheel_shape;
          const row = Math.round(((Math.cos(Math.PI * Math.min(r, 1)) + 1) / 2) * (rows - 1));
          const k = 3 * (row * columns + (Math.round((Math.atan2(y, x) / (2 * Math.PI) + 1) * columns) % columns));
          image.data.set([wheel[k], wheel[k + 1], wheel[k + 2], r <= 1 ? 255 : 0], 4 * (i * size + j));
        }
      }
      canvas.getContext("2d").putImageData(image, 0, 0);
      key.append(canvas, "right: +x, up: +y\nlight: +z, dark: -z");
    } else if (choice === "species") {
      data.symbols.forEach((symbol, k) => {
        const word = document.createElement("b");
        word.textContent = symbol;
        word.style.color = `#${species_colours[k % species_colours.length].getHexString()}`;
        key.append(word);
      });
    } else {
      const told = colourings.find((each) => each.name === choice) || { label: "s_z", low: -1, high: 1 };
      const stripe = document.createElement("span");
      const parts = [...Array(9).keys()].map((k) => {
        by_value(told.low + ((told.high - told.low) * k) / 8, told.low, told.high);
        return `#${colour.getHexString()}`;
      });
      stripe.style.cssText = `width: 120px; height: 14px; background: linear-gradient(to right, ${parts})`;
      key.append(`${told.label}: ${told.low.toPrecision(3)}`, stripe, told.high.toPrecision(3));
    }
  }

  // -- time series
  let plot = null;
  function mark_time(shown) {
    const { left, top, height, width } = shown.bbox;
    const x = shown.valToPos(data.times[frame], "x", true);
    if (x < left || x > left + width) return;
    shown.ctx.strokeStyle = "#d55e00";
    shown.ctx.lineWidth = 2 * devicePixelRatio;
    shown.ctx.beginPath();
    shown.ctx.moveTo(x, top);
    shown.ctx.lineTo(x, top + height);
    shown.ctx.stroke();
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
  let playing = null;
  at("play").onclick = () => {
    if (playing) clearInterval(playing);
    playing = playing ? null : setInterval(() => go((frame + 1) % frames), 80);
    at("play").textContent = playing ? "stop" : "play";
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
  document.body.dataset.drawn = renderer.info.render.triangles;
})();

// What the pages of `spinase view` use of three.js and uPlot.  libraries.min.js is made of this file by
//   npm install three@0.187.0 uplot@1.6.32 esbuild@0.28.2
//   npx esbuild libraries.js --bundle --minify --format=iife --global-name=LIB --legal-comments=none --outfile=libraries.min.js
export { BufferAttribute, BufferGeometry, ConeGeometry, CylinderGeometry, DataTexture, Float32BufferAttribute, FloatType, GLSL3, IcosahedronGeometry, LineBasicMaterial, LineSegments, Mesh, PerspectiveCamera, RGBAFormat, Scene, ShaderMaterial, UnsignedByteType, Vector3, WebGLRenderer } from "three";
export { OrbitControls } from "three/addons/controls/OrbitControls.js";
export { mergeGeometries } from "three/addons/utils/BufferGeometryUtils.js";
export { default as uPlot } from "uplot";

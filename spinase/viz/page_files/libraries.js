// What libraries.min.js holds.  Made with: npm install three@0.187.0 uplot@1.6.32 esbuild
// npx esbuild libraries.js --bundle --minify --format=iife --global-name=LIB --legal-comments=none --charset=ascii --outfile=libraries.min.js
export { AmbientLight, BufferAttribute, BufferGeometry, Color, ConeGeometry, CylinderGeometry, DirectionalLight, IcosahedronGeometry, InstancedMesh, LineBasicMaterial, LineSegments, Matrix4, MeshLambertMaterial, PerspectiveCamera, Quaternion, Scene, Vector3, WebGLRenderer } from "three";
export { OrbitControls } from "three/addons/controls/OrbitControls.js";
export { mergeGeometries } from "three/addons/utils/BufferGeometryUtils.js";
export { default as uPlot } from "uplot";

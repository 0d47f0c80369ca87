// Bundles the tests and the page for Node and the browser, into dist/.
import { build } from "esbuild";

const common = { bundle: true, outdir: "dist", logLevel: "warning", sourcemap: "inline" };
await build({
  ...common,
  entryPoints: ["test/node.test.ts", "test/browser.test.ts"],
  platform: "node",
  format: "esm",
  packages: "external",
  outExtension: { ".js": ".mjs" },
});
await build({ ...common, entryPoints: ["test/page.ts"], platform: "browser", format: "iife" });

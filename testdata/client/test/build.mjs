// Bundles the tests and the pages for Node and the browser, into dist/.
import { build } from "esbuild";

// The examples import the package by its name, as a product does; here that is the source.
const common = { bundle: true, outdir: "dist", outbase: ".", logLevel: "warning", sourcemap: "inline", alias: { "coderhook-client": "./src/coder.ts" } };
const node = { ...common, platform: "node", format: "esm", packages: "external", outExtension: { ".js": ".mjs" } };
const browser = { ...common, platform: "browser", format: "iife" };
await build({ ...node, outbase: "test", entryPoints: ["test/node.test.ts", "test/browser.test.ts"] });
await build({ ...node, entryPoints: ["test/gateway/requests.test.ts", "test/gateway/sockets.test.ts", "test/gateway/pages.test.ts", "test/gateway/pack.test.ts", "examples/main.ts"] });
await build({ ...browser, outbase: "test", entryPoints: ["test/page.ts"] });
await build({ ...browser, define: { "process.env.NODE_ENV": '"development"' }, entryPoints: ["examples/page.tsx", "examples/hydrate.tsx"] });

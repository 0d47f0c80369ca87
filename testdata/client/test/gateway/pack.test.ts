// The package as a product gets it: packed, installed into an empty project, and imported there with its types.

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdtempSync, readdirSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { after, before, test } from "node:test";

const types = `
import { connect, NoKeyError, RefusedError, type Client, type GatewayClient } from "coderhook-client";
import { createClient } from "@supabase/supabase-js";
const supabase = createClient("https://example.supabase.co", "anon");
const through: GatewayClient = connect(supabase, { gateway: "https://coderhook.example.com/coder" });
const socket: Promise<WebSocket> = through.webSocket("/api/v2/workspaces/x/watch-ws");
for await (const text of through.messages("/x")) text.trim();
const withKey: Client = connect(supabase, { coder: "/coder", hook: "https://coderhook.example.com" });
// @ts-expect-error the key is for no socket
withKey.webSocket("/x");
// @ts-expect-error one way or the other
connect(supabase, { gateway: "/coder", coder: "/coder", hook: "" });
export { NoKeyError, RefusedError, socket };
`;
const imports = `
import { connect, NoKeyError } from "coderhook-client";
const auth = { getSession: async () => ({ data: { session: null }, error: null }) };
const coder = connect({ auth }, { gateway: "https://coderhook.example.com/coder/" });
await coder.api.get("/x").then(() => process.exit(1), (error) => process.exit(error instanceof NoKeyError ? 0 : 2));
`;
const options = { target: "ES2022", lib: ["ES2022", "DOM"], types: ["node"], strict: true, noEmit: true, skipLibCheck: false };

let project: string;
let tarball: string;
before(() => {
  project = mkdtempSync(join(tmpdir(), "coderhook-client-"));
  run("npm", ["pack", "--silent", "--pack-destination", project], ".");
  tarball = readdirSync(project).find((name) => name.endsWith(".tgz"))!;
  writeFileSync(join(project, "package.json"), '{ "name": "product", "private": true, "type": "module" }');
  // The peers are these here, so that nothing has to be downloaded.
  run("npm", ["install", "--silent", "--offline", "--no-audit", "--no-fund", "--legacy-peer-deps", tarball]);
  for (const name of readdirSync("node_modules").filter((name) => !name.startsWith("."))) {
    if (name !== "coderhook-client") symlinkSync(resolve("node_modules", name), join(project, "node_modules", name));
  }
});
after(() => rmSync(project, { recursive: true, force: true }));

function run(program: string, args: string[], cwd = project): string {
  try {
    return execFileSync(program, args, { cwd, encoding: "utf8", stdio: "pipe" });
  } catch (error) {
    const { stdout, stderr } = error as { stdout: string; stderr: string };
    throw new Error(`${program} ${args.join(" ")}:\n${stdout}${stderr}`);
  }
}

test("it holds the library and nothing else", () => {
  const files = run("tar", ["-tzf", tarball]).trim().split("\n");
  assert.ok(files.includes("package/lib/coder.js") && files.includes("package/lib/coder.d.ts"));
  assert.deepEqual(files.filter((name) => !/^package\/(lib\/\w+\.(js|d\.ts)|package\.json|README\.md)$/.test(name)), []);
});

test("Node imports it", () => {
  writeFileSync(join(project, "index.mjs"), imports);
  run("node", ["index.mjs"]);
});

for (const [module, moduleResolution] of [["NodeNext", "NodeNext"], ["ES2022", "bundler"]]) {
  test(`it has types (${moduleResolution})`, () => {
    writeFileSync(join(project, "index.ts"), types);
    const compilerOptions = { ...options, module, moduleResolution };
    writeFileSync(join(project, "tsconfig.json"), JSON.stringify({ compilerOptions, files: ["index.ts"] }));
    run("node", [resolve("node_modules/typescript/bin/tsc")]);
  });
}

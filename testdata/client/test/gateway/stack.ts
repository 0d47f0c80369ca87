// What runs around the pages: the servers that the environment names, or stand-ins where it names none.
//
// GATEWAY_URL, SUPABASE_URL and PAGE_URL go together. PAGE_URL is examples/main.ts behind an origin of CORS_ORIGINS;
// OTHER_PAGE_URL is the same behind one that is not. SUPABASE_URL also answers POST /control/{what}?email=…, as
// hook/authserver_test.go does: `refreshes` counts them; `workspace` gives the user a workspace "dev", whose build's
// log has the lines "one" and "two" and goes on; `line` adds "three" to it; `keys` tells which keys no page may see.

import { serve } from "../../examples/server";
import { poison, startAuth } from "./auth";
import { startGateway } from "./gateway";

export interface Stack {
  page: string;
  otherPage: string;
  gateway: string;
  control(what: string, email: string): Promise<string>;
  /** Only of the stand-ins. */
  stub?: { auth: Awaited<ReturnType<typeof startAuth>>; gateway: Awaited<ReturnType<typeof startGateway>> };
  close(): Promise<unknown>;
}

export function start(): Promise<Stack> {
  const { GATEWAY_URL: gateway, SUPABASE_URL: supabase, PAGE_URL: page, OTHER_PAGE_URL: otherPage } = process.env;
  if (gateway && supabase && page && otherPage) return Promise.resolve({ gateway, page, otherPage, close: async () => {}, control: controller(supabase) });
  if (gateway || supabase || page || otherPage) throw new Error("GATEWAY_URL, SUPABASE_URL, PAGE_URL and OTHER_PAGE_URL go together");
  return stub();
}

function controller(supabase: string) {
  return async (what: string, email: string) => {
    const answer = await fetch(`${supabase}/control/${what}?email=${encodeURIComponent(email)}`, { method: "POST" });
    if (!answer.ok) throw new Error(`${what}: ${answer.status} ${await answer.text()}`);
    return answer.text();
  };
}

async function stub(): Promise<Stack> {
  const auth = await startAuth();
  const gateway = await startGateway(auth);
  const settings = { supabase: auth.url, anonKey: "anon", gateway: gateway.url };
  const page = await serve(settings, "dist/examples");
  gateway.origins.add(page.url);
  const control = async (what: string, email: string) => {
    if (what === "workspace") gateway.lines.length = 2;
    if (what === "line") gateway.log("three");
    if (what === "keys") return poison;
    return what === "refreshes" ? String(auth.accounts.get(email)!.refreshes) : "";
  };
  const close = () => Promise.all([page.close(), gateway.close(), auth.close()]);
  const otherPage = page.url.replace("localhost", "127.0.0.1");
  return { page: page.url, otherPage, gateway: gateway.url, control, stub: { auth, gateway }, close };
}

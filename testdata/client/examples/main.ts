// Runs the server with the addresses of the environment.

import { dirname } from "node:path";
import { fileURLToPath } from "node:url";
import { serve } from "./server";

function variable(name: string): string {
  const value = process.env[name];
  if (!value) throw new Error(`${name} is not set`);
  return value;
}

const settings = { supabase: variable("SUPABASE_URL"), anonKey: variable("SUPABASE_ANON_KEY"), gateway: variable("GATEWAY_URL") };
const { url } = await serve(settings, dirname(fileURLToPath(import.meta.url)), Number(process.env["PORT"] ?? 3000));
console.log(`listening at ${url}`);

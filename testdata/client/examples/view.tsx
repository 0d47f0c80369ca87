import type { SupabaseClient } from "@supabase/supabase-js";
import type { GatewayClient } from "coderhook-client";
import { SignIn } from "./signin";
import { type Workspace, Workspaces } from "./workspaces";

/** What the server knew when it rendered: no list where the gateway could not be asked. */
export interface Rendered {
  signedIn: boolean;
  list: Workspace[] | undefined;
}

/** What server and browser render alike; only the browser has the clients. */
export function View({ signedIn, list, supabase, coder }: Rendered & { supabase?: SupabaseClient; coder?: GatewayClient }) {
  if (!signedIn) return <SignIn supabase={supabase} done={() => location.reload()} />;
  return <Workspaces coder={coder} initial={list} />;
}

// The hook as an Edge Function would be written, for the bench: the key has to be there already.
import postgres from "npm:postgres";
import { Webhook } from "npm:standardwebhooks";

type Event = { user_id: string; claims: { app_metadata?: Record<string, unknown> } & Record<string, unknown> };

const [hostname, port] = Deno.env.get("LISTEN_ADDR")!.split(":");
const webhook = new Webhook(Deno.env.get("CUSTOM_ACCESS_TOKEN_HOOK_SECRETS")!.replace("v1,whsec_", ""));
const sql = postgres(Deno.env.get("DATABASE_URL")!, { max: 10 });

Deno.serve({ hostname, port: Number(port) }, async (request) => {
  let event: Event;
  try {
    event = webhook.verify(await request.text(), Object.fromEntries(request.headers)) as Event;
  } catch {
    return Response.json({ error: { http_code: 401, message: "signature not accepted" } }, { status: 401 });
  }
  const { user_id, claims } = event;
  const [profile] = await sql`
    select p.api_key from public.profiles as p join coderhook.accounts as a on a.user_id = p.id
     where p.id = ${user_id} and a.key_expires_at > now()`;
  claims.app_metadata = { ...claims.app_metadata, api_key: profile.api_key };
  return Response.json({ claims });
});

// A front end of some product. What it needs to know stands in its address.

import { createClient } from "@supabase/supabase-js";
import { connect } from "../src/coder";

const settings = new URLSearchParams(location.search);
const supabase = createClient(settings.get("auth")!, "anon");
const coder = connect(supabase, { coder: "/coder", hook: settings.get("hook")! });

function on(id: string, work: () => Promise<string>) {
  document.getElementById(id)!.addEventListener("click", async () => {
    const out = document.getElementById("out")!;
    out.textContent = "…";
    out.textContent = await work().catch((error) => `failed: ${error.message} ${JSON.stringify(error.response?.data ?? "")}`);
  });
}

on("sign-up", async () => {
  const { error } = await supabase.auth.signUp({ email: settings.get("email")!, password: "correct horse" });
  if (error) throw error;
  return "signed up";
});
on("me", async () => {
  const { data } = await coder.api.get("/api/v2/users/me");
  return `You are ${data.username} (${data.email}) in Coder.`;
});
on("create", async () => JSON.stringify(await coder.createCoderUser(), null, 2));
on("open", async () => {
  await coder.openWorkspaceApp(settings.get("app")!);
  return "opened";
});

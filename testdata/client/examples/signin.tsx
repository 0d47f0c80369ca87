import type { SupabaseClient } from "@supabase/supabase-js";
import { type FormEvent, useState } from "react";

/** A form for people who are not signed in. */
export function SignIn({ supabase, done }: { supabase: SupabaseClient | undefined; done: () => void }) {
  const [error, setError] = useState("");
  async function submit(event: FormEvent<HTMLFormElement>) {
    event.preventDefault();
    const form = new FormData(event.currentTarget, (event.nativeEvent as SubmitEvent).submitter);
    const credentials = { email: String(form.get("email")), password: String(form.get("password")) };
    const { auth } = supabase!;
    const answer = await (form.get("do") === "up" ? auth.signUp(credentials) : auth.signInWithPassword(credentials));
    if (answer.error) setError(answer.error.message);
    else done();
  }
  return (
    <form onSubmit={submit}>
      <h1>A product with workspaces</h1>
      <input name="email" type="email" placeholder="E-mail" required />
      <input name="password" type="password" placeholder="Password" required />
      <button name="do" value="in">Sign in</button>
      <button name="do" value="up">Sign up</button>
      {error && <p role="alert">{error}</p>}
    </form>
  );
}

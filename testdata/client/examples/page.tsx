// A page that is all in the browser: the session is in its localStorage.

import { createClient } from "@supabase/supabase-js";
import { StrictMode, useEffect, useState } from "react";
import { createRoot } from "react-dom/client";
import { connect } from "coderhook-client";
import { embedded, type Settings } from "./settings";
import { SignIn } from "./signin";
import { Workspaces } from "./workspaces";

const settings = embedded<Settings>("settings");
const supabase = createClient(settings.supabase, settings.anonKey);
const coder = connect(supabase, { gateway: settings.gateway });

function App() {
  const [signedIn, setSignedIn] = useState<boolean>();
  useEffect(() => {
    void supabase.auth.getSession().then(({ data }) => setSignedIn(data.session !== null));
  }, []);
  if (signedIn === undefined) return null;
  if (!signedIn) return <SignIn supabase={supabase} done={() => setSignedIn(true)} />;
  return <Workspaces coder={coder} initial={undefined} />;
}

createRoot(document.getElementById("root")!).render(<StrictMode><App /></StrictMode>);

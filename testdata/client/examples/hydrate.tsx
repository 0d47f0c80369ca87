// The browser's part of the server-rendered page: the session is in cookies that the server reads, too.

import { createBrowserClient } from "@supabase/ssr";
import { hydrateRoot } from "react-dom/client";
import { connect } from "coderhook-client";
import { embedded, type Settings } from "./settings";
import { type Rendered, View } from "./view";

const settings = embedded<Settings>("settings");
const supabase = createBrowserClient(settings.supabase, settings.anonKey);
const coder = connect(supabase, { gateway: settings.gateway });

hydrateRoot(document.getElementById("root")!, <View {...embedded<Rendered>("rendered")} supabase={supabase} coder={coder} />);

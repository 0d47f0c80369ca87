/** What the pages have to know. It is the server's to say, never an address's: who sets the gateway gets the sessions. */
export interface Settings {
  supabase: string;
  anonKey: string;
  gateway: string;
}

/** What the server wrote into the page for its script. */
export function embedded<T>(id: string): T {
  return JSON.parse(document.getElementById(id)!.textContent!) as T;
}

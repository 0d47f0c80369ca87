// A list of the user's workspaces, and the log of a build as it goes on.

import { isAxiosError } from "axios";
import { useEffect, useState } from "react";
import type { GatewayClient } from "coderhook-client";

export interface Workspace {
  id: string;
  name: string;
  latest_build: { id: string; status: string };
}

interface LogLine {
  id: number;
  stage: string;
  output: string;
}

/** Reads the list, in the browser as on a server. */
export async function workspaces(coder: GatewayClient): Promise<Workspace[]> {
  const { data } = await coder.api.get<{ workspaces: Workspace[] }>("/api/v2/workspaces", { params: { q: "owner:me" } });
  return data.workspaces.map(({ id, name, latest_build: { id: build, status } }) => ({ id, name, latest_build: { id: build, status } }));
}

/** Says what went wrong in the server's words, where it has some. */
export function reason(error: unknown): string {
  const said = isAxiosError(error) ? error.response?.data?.error?.message ?? error.response?.data?.message : undefined;
  return said ?? (error instanceof Error ? error.message : String(error));
}

/** `initial` is what a server has read; without it the browser reads the list. */
export function Workspaces({ coder, initial }: { coder: GatewayClient | undefined; initial: Workspace[] | undefined }) {
  const [list, setList] = useState(initial);
  const [error, setError] = useState("");
  const [build, setBuild] = useState("");
  const load = () => void (coder && workspaces(coder).then(setList).then(() => setError(""), (error) => setError(reason(error))));
  useEffect(() => {
    if (!initial) load();
  }, []);
  return (
    <main>
      <h1>Workspaces</h1>
      <button onClick={load}>Reload</button>
      {error && <p role="alert">{error}</p>}
      <ul>
        {list?.map(({ id, name, latest_build }) => (
          <li key={id}>
            <button onClick={() => setBuild(latest_build.id)}>{name}</button> <small>{latest_build.status}</small>
          </li>
        ))}
      </ul>
      {list?.length === 0 && <p>There are none yet.</p>}
      {coder && build && <Log key={build} coder={coder} build={build} />}
    </main>
  );
}

function Log({ coder, build }: { coder: GatewayClient; build: string }) {
  const [lines, setLines] = useState<LogLine[]>([]);
  const [state, setState] = useState("live");
  useEffect(() => {
    const stop = new AbortController();
    follow(coder, build, stop.signal, (line) => setLines((lines) => [...lines, line])).then(
      () => stop.signal.aborted || setState("complete"),
      (error) => stop.signal.aborted || setState(reason(error)),
    );
    return () => stop.abort();
  }, [coder, build]);
  return (
    <section>
      <h2>
        Log <small id="state">{state}</small>
      </h2>
      <pre id="log">{lines.map(({ stage, output }) => `${stage}: ${output}\n`)}</pre>
    </section>
  );
}

/** Reads the log of a build. When the connection breaks, it goes on after the last line. */
async function follow(coder: GatewayClient, build: string, signal: AbortSignal, show: (line: LogLine) => void) {
  let after = -1;
  const path = () => `/api/v2/workspacebuilds/${build}/logs?follow=true&after=${after}`;
  for await (const text of coder.messages(path, signal)) {
    if (signal.aborted) return;
    const line = JSON.parse(text) as LogLine;
    after = line.id;
    show(line);
  }
}

// Stands in for coderhook's gateway: it holds the client to the protocol, and answers as it is told.

import type { IncomingMessage, ServerResponse } from "node:http";
import { type WebSocket, WebSocketServer } from "ws";
import { type Account, poison, type startAuth } from "./auth";
import { forAnyOrigin, json, listen, read } from "./http";

const prefix = "base64url.bearer.authorization.coderhook.";

/** What the gateway answers instead of Coder, once. */
export interface Answer {
  status: number;
  message?: string;
  headers?: Record<string, string>;
}

export interface Received {
  method: string;
  url: string;
  body: string;
}

export async function startGateway(auth: Awaited<ReturnType<typeof startAuth>>) {
  const faults: string[] = []; // where the client did not keep to the protocol
  const received: Received[] = [];
  const answers: Answer[] = [];
  const origins = new Set<string>(); // those that may open sockets; others may not
  const state = { workspace: "dev" }; // the name of each user's one workspace
  const sockets = new Set<WebSocket>();
  const dialed: Received[] = [];
  const refused = new Set<string>(); // tokens
  const lines = [{ id: 1, stage: "Init", output: "one" }, { id: 2, stage: "Plan", output: "two" }];

  /** Checks what holds for each request, and gives the token's account if the token is good. */
  function check(request: IncomingMessage, token: string | undefined): Account | undefined {
    const at = `${request.method} ${request.url}`;
    const address = decodeURIComponent(request.url!);
    if (/eyJ|access_token|session_token|bearer/i.test(address)) faults.push(`${at}: a token in the address`);
    if (request.headers["coder-session-token"]) faults.push(`${at}: Coder-Session-Token`);
    if (request.headers.cookie) faults.push(`${at}: a cookie`);
    if (JSON.stringify([request.rawHeaders, address]).includes(poison)) faults.push(`${at}: the key, which nobody may read`);
    const account = token === undefined ? undefined : auth.owner(token);
    if (!account) faults.push(`${at}: the session's token did not come`);
    return token !== undefined && !refused.has(token) ? account : undefined;
  }

  const { server, url, close } = await listen(async (request, response) => {
    if (forAnyOrigin(request, response)) return;
    const body = await read(request);
    received.push({ method: request.method!, url: request.url!, body });
    if (body.includes(poison)) faults.push(`${request.url}: the key in the body`);
    const account = check(request, /^Bearer (\S+)$/.exec(request.headers.authorization ?? "")?.[1]);
    if (!account) return error(response, { status: 401, message: "the token has expired", headers: { "WWW-Authenticate": 'Bearer error="invalid_token"' } });
    const answer = answers.shift();
    if (answer) return error(response, answer);
    route(request, response, body, account);
  });

  function route(request: IncomingMessage, response: ServerResponse, body: string, { id, email }: Account) {
    const at = new URL(request.url!, "http://gateway");
    const username = id.split("-")[0];
    switch (at.pathname) {
      case "/coder/api/v2/users/me":
        return json(response, 200, { id, email, username });
      case "/coder/api/v2/workspaces": {
        const build = { id: `${id.slice(0, -4)}b01d`, status: "starting" };
        return json(response, 200, { workspaces: [{ id, name: state.workspace, owner_name: username, latest_build: build }], count: 1 });
      }
      case "/coder/api/v2/files":
        return json(response, 201, { body });
      case "/coder/api/v2/stream":
        response.write("first\n");
        return setTimeout(() => response.end("second\n"), 100);
      case "/coder/away":
        return response.writeHead(303, { Location: "/coder/api/v2/users/me" }).end();
      case "/create-coder-user":
        return json(response, 200, { user_id: id, coder_user_id: id, username, created: false });
      case "/applications/auth-redirect":
        return json(response, 200, { location: `${at.searchParams.get("redirect_uri")}?coder_application_connect_api_key_0=once` });
      default: // the upgrade is all that a socket's path lacks
        return error(response, at.pathname.endsWith("/logs") ? { status: 426 } : { status: 404, message: "no such route" });
    }
  }

  const wss = new WebSocketServer({ noServer: true, handleProtocols: () => "coderhook.v1" });
  server.on("upgrade", (request, socket, head) => {
    dialed.push({ method: "UPGRADE", url: request.url!, body: "" });
    const account = check(request, offered(request, faults));
    const origin = request.headers.origin;
    const status = !account ? 401 : origin && !origins.has(origin) ? 403 : answers.shift()?.status;
    if (status) return void socket.end(`HTTP/1.1 ${status} Refused\r\nContent-Length: 0\r\nConnection: close\r\n\r\n`);
    wss.handleUpgrade(request, socket, head, (client) => {
      sockets.add(client);
      client.on("close", () => sockets.delete(client));
      const after = Number(new URL(request.url!, "http://gateway").searchParams.get("after") ?? -1);
      for (const line of lines) if (line.id > after) client.send(JSON.stringify(line));
    });
  });

  /** Adds a line to the build's log, for all who read it. */
  function log(output: string) {
    const line = { id: lines.length + 1, stage: "Apply", output };
    lines.push(line);
    for (const socket of sockets) socket.send(JSON.stringify(line));
  }

  const closeSockets = (code: number, reason = "") => sockets.forEach((socket) => socket.close(code, reason));
  const end = () => {
    sockets.forEach((socket) => socket.terminate());
    return close();
  };
  return { url: `${url}/coder`, close: end, faults, received, answers, origins, sockets, dialed, refused, lines, state, log, closeSockets };
}

/** Reads the token from the subprotocols, which have to be these two. */
function offered(request: IncomingMessage, faults: string[]): string | undefined {
  const [first, second, ...others] = (request.headers["sec-websocket-protocol"] ?? "").split(",").map((name) => name.trim());
  const value = second?.startsWith(prefix) ? second.slice(prefix.length) : "";
  if (first !== "coderhook.v1" || others.length > 0 || !/^[A-Za-z0-9_-]+$/.test(value)) faults.push(`${request.url}: its subprotocols`);
  if (request.headers.authorization) faults.push(`${request.url}: Authorization beside the subprotocol`);
  return Buffer.from(value, "base64url").toString();
}

function error(response: ServerResponse, { status, message = "", headers = {} }: Answer) {
  const body = status === 202 ? { user_id: "u", status: "pending" } : { error: { http_code: status, message } };
  json(response, status, body, headers);
}

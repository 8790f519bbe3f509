// Asking the app. Whatever goes wrong becomes one line on the page.

import { byId } from "./dom.js";

export const about = { model: null, threshold: null, folder: null, tags: 0, verdicts: null, limits: null };
const listeners = new Set();
const OUTAGE = "outage";

export class Failure extends Error {
  constructor(message, status) {
    super(message);
    this.status = status;
  }
}

export function onAbout(listener) {
  listeners.add(listener);
}

// Something is known anew.
export function tell(known) {
  Object.assign(about, known);
  for (const listener of listeners) listener();
}

let problemOf = "";

// One line; it goes with the next success of the same kind.
export function showProblem(text, kind = "pictures") {
  const line = byId("problem");
  line.textContent = text;
  line.hidden = !text;
  problemOf = kind;
}

// What comes back from the app; null where nobody waits for it any more.
export async function ask(path, { json, body, signal, quiet } = {}) {
  let answer;
  let found;
  try {
    answer = await fetch(`api/${path}`, {
      method: json || body ? "POST" : "GET",
      headers: json ? { "Content-Type": "application/json" } : body ? { "Content-Type": "application/octet-stream" } : {},
      body: json ? JSON.stringify(json) : body,
      signal,
    });
    found = await answer.json();
  } catch (error) {
    if (signal?.aborted) return null;
    const failure = new Failure("The app does not answer; is `dexmatch app` still running?", 0);
    showProblem(failure.message, OUTAGE);
    throw failure;
  }
  const kind = path.split("/")[0];
  if (!answer.ok) {
    const failure = new Failure(found.error ?? `HTTP status ${answer.status}`, answer.status);
    const isOutage = answer.status >= 500;
    if (!quiet?.includes(answer.status)) showProblem(failure.message, isOutage ? OUTAGE : kind);
    throw failure;
  }
  if (problemOf === kind || (problemOf === OUTAGE && kind !== "state")) showProblem("");
  if (found.version && found.version !== about.model?.version) await refresh();
  // Of an answer; to explain one takes dozens.
  if (found.milliseconds !== undefined && kind !== "explain") tell({ milliseconds: found.milliseconds });
  return found;
}

// Does work whose failures are on the page already.
export async function told(work) {
  try {
    return await work();
  } catch (error) {
    if (error instanceof Failure) return null;
    throw error;
  }
}

export async function refresh() {
  tell(await ask("state"));
}

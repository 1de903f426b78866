// The server's /v1. Errors are thrown as Error with the server's sentence.

async function sentence(response) {
  try {
    return (await response.json()).error || response.statusText;
  } catch {
    return response.statusText || `the server answered ${response.status}`;
  }
}

async function call(path, options = {}) {
  let response;
  try {
    response = await fetch(`/v1${path}`, options);
  } catch {
    throw new Error("The server does not answer. Is it still running?");
  }
  if (response.status === 429) throw new Error("The server is busy. Try again in a moment.");
  if (!response.ok) throw new Error(await sentence(response));
  return response;
}

export const get = async (path) => (await call(path)).json();

const asJson = (body, method = "POST") => ({
  method,
  headers: { "Content-Type": "application/json" },
  body: JSON.stringify(body),
});

export const post = async (path, body) => (await call(path, asJson(body))).json();

export const remove = (path) => call(path, { method: "DELETE" });

/** A file of the server's making as a blob with its name. */
export async function download(path, body) {
  const response = await call(path, asJson(body));
  const named = /filename\*?=(?:utf-8'')?"?([^";]+)/i.exec(response.headers.get("Content-Disposition") || "");
  save(await response.blob(), named ? decodeURIComponent(named[1]) : "export");
}

export function save(blob, name) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
}

/** Upload with progress in [0, 1]. Returns {done: Promise of the video, cancel()}. */
export function upload(file, progress) {
  const request = new XMLHttpRequest();
  const done = new Promise((resolve, reject) => {
    request.open("POST", `/v1/uploads?name=${encodeURIComponent(file.name)}`);
    request.setRequestHeader("Content-Type", "application/octet-stream");
    request.upload.onprogress = (event) => event.lengthComputable && progress(event.loaded / event.total);
    request.onload = () => {
      let answer = {};
      try { answer = JSON.parse(request.responseText); } catch { /* not ours */ }
      if (request.status === 201) resolve(answer);
      else reject(new Error(answer.error || `The upload failed (${request.status}).`));
    };
    request.onerror = () => reject(new Error("The upload broke off. Is the server still running?"));
    request.onabort = () => reject(new DOMException("cancelled", "AbortError"));
    request.send(file);
  });
  return { done, cancel: () => request.abort() };
}

/** Follow a job to its end, over reconnects; `progress` is told {fraction, minutes, of}. Returns {done: Promise of its result, cancel()}. */
export function follow(id, progress) {
  const source = new EventSource(`/v1/jobs/${id}/events`);
  const done = new Promise((resolve, reject) => {
    const end = (settle) => (event) => { source.close(); settle(event); };
    source.addEventListener("done", end(() => get(`/jobs/${id}`).then((job) => resolve(job.result), reject)));
    source.addEventListener("progress", (event) => progress(JSON.parse(event.data)));
    source.addEventListener("failed", end((event) => reject(new Error(JSON.parse(event.data).error))));
    source.addEventListener("cancelled", end(() => reject(new DOMException("cancelled", "AbortError"))));
    source.onerror = () => source.readyState === EventSource.CLOSED && reject(new Error("This question is no longer known to the server."));
  });
  return { done, cancel: () => remove(`/jobs/${id}`).catch(() => {}) };
}

export const thumbnail = (video, second, width = 192) => `/v1/videos/${video}/thumbnail?t=${second.toFixed(2)}&width=${width}`;

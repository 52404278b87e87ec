"""Hello, Erlen: a page, JSON in both colours, and a websocket, in one file.

erlen --app examples/hello run
"""

import threading

from erlen import Erlen, request, sync, websocket

app = Erlen(__name__)


@app.get("/")
async def index():
    return PAGE


@app.post("/json")
async def json_async():  # async def runs on the event loop: await what waits.
    data = await request.get_json()
    return {"received": data, "thread": threading.current_thread().name}


@app.post("/json/def")
def json_sync():  # def runs in a worker thread: the same names are plain values.
    data = sync.request.get_json()
    return {"received": data, "thread": threading.current_thread().name}


@app.websocket("/echo")
async def echo():
    async for message in websocket:
        await websocket.send(message)


PAGE = """\
<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Hello, Erlen</title>
<link rel="icon" href="data:,">
<style>
  :root { --ink: #1c2733; --soft: #5d6b7a; --line: #dfe5ea; --leaf: #1f7a5c; }
  * { box-sizing: border-box; }
  body { margin: 0; background: #f4f7f6; color: var(--ink); font: 16px/1.5 system-ui, sans-serif; }
  main { max-width: 60rem; margin: 0 auto; padding: 3rem 1.5rem; }
  h1 { margin: 0; font-size: 2.6rem; letter-spacing: -.02em; }
  header p { margin: .4rem 0 2.4rem; color: var(--soft); font-size: 1.15rem; }
  .cards { display: grid; gap: 1.25rem; }
  @media (min-width: 44rem) { .cards { grid-template-columns: 1fr 1fr; } }
  section { min-width: 0; padding: 1.5rem; border: 1px solid var(--line); border-radius: 14px;
            background: #fff; }
  h2 { margin: 0 0 1rem; font-size: 1.1rem; }
  h2 small { margin-left: .4rem; color: var(--soft); font-weight: 400; }
  form { display: flex; flex-wrap: wrap; gap: .5rem; }
  input, button { padding: .55rem .8rem; border: 1px solid var(--line); border-radius: 8px;
                  font: inherit; }
  input { flex: 1 1 100%; min-width: 0; }
  button { border-color: var(--leaf); background: var(--leaf); color: #fff; cursor: pointer; }
  button:hover { filter: brightness(1.1); }
  code, pre { font: .88rem/1.5 ui-monospace, monospace; }
  pre { height: 12rem; margin: 1rem 0 0; padding: .9rem; overflow: auto; border-radius: 8px;
        background: #12211c; color: #c9f2df; white-space: pre-wrap; overflow-wrap: anywhere; }
</style>
<main>
  <header>
    <h1>Hello, Erlen</h1>
    <p>This page, the JSON and the websocket below come from one small file.</p>
  </header>
  <div class="cards">
    <section>
      <h2>JSON <small>one request, two colours</small></h2>
      <form id="post">
        <input name="text" value="Hello from the browser" aria-label="Text to post">
        <button value="json">POST to async def</button>
        <button value="json/def">POST to def</button>
      </form>
      <pre id="answer" aria-live="polite"></pre>
    </section>
    <section>
      <h2>Websocket <small id="state">connecting...</small></h2>
      <form id="say">
        <input name="text" value="Is anybody there?" aria-label="Message to send">
        <button>Send to the echo</button>
      </form>
      <pre id="log" aria-live="polite"></pre>
    </section>
  </div>
</main>
<script>
  const find = (id) => document.getElementById(id);

  find("post").addEventListener("submit", async (event) => {
    event.preventDefault();
    const path = event.submitter.value;
    const response = await fetch(path, {
      method: "POST",
      headers: {"Content-Type": "application/json"},
      body: JSON.stringify({text: event.target.text.value}),
    });
    const data = await response.json();
    find("answer").textContent =
      `POST /${path} -> ${response.status}\\n${JSON.stringify(data, null, 2)}`;
  });

  const socket = new WebSocket(new URL("echo", location.href).href.replace(/^http/, "ws"));
  const log = (line) => { find("log").textContent += line + "\\n"; };
  socket.onopen = () => { find("state").textContent = "connected"; };
  socket.onclose = () => { find("state").textContent = "closed"; };
  socket.onmessage = (event) => log(`< ${event.data}`);

  find("say").addEventListener("submit", (event) => {
    event.preventDefault();
    log(`> ${event.target.text.value}`);
    socket.send(event.target.text.value);
  });
</script>
</html>
"""

// The front end's own router: / is the list, /mars a planet. The server knows neither.
const main = document.querySelector("main");

async function show() {
  const slug = location.pathname.slice(1);
  const response = await fetch(slug ? `/api/planets/${slug}` : "/api/planets", {
    headers: {Accept: "application/json"},
  });
  const data = await response.json();
  if (!response.ok) main.textContent = data.detail;
  else if (slug) main.textContent = `${data.name} has ${data.moons} moon(s).`;
  else main.replaceChildren(...Object.entries(data).map(link));
}

function link([slug, planet]) {
  const line = document.createElement("p");
  const anchor = document.createElement("a");
  anchor.href = `/${slug}`;
  anchor.textContent = planet.name;
  line.append(anchor);
  return line;
}

document.addEventListener("click", (event) => {
  const anchor = event.target.closest("a");
  if (!anchor) return;
  event.preventDefault();
  history.pushState(null, "", anchor.href);
  show();
});
window.addEventListener("popstate", show);
show();

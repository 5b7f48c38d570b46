// Turns the single page of the book into one for paper. What moves on the screen stands still.
const make = (tag, name, ...content) => {
  const element = document.createElement(tag);
  if (name) element.className = name;
  element.append(...content);
  return element;
};
const all = (selector) => [...document.querySelectorAll(`article.bd-article :is(${selector})`)];
const decoded = (images) => Promise.all(images.map((image) => image.decode().catch(() => {})));

/** An explorer becomes one frame of its strip; its caption adds the values of its knobs. */
function still(explorer) {
  const frame = explorer.querySelector(".explorer-frame");
  const strip = frame.querySelector("img:not([hidden])");
  const across = strip.naturalWidth / (parseFloat(strip.style.width) / 100);
  const canvas = Object.assign(make("canvas"), { width: across, height: strip.naturalHeight });
  canvas.getContext("2d").drawImage(strip, (parseFloat(strip.style.left) / 100) * across, 0);
  const picture = Object.assign(make("img"), { src: canvas.toDataURL(), alt: strip.alt });
  picture.style.width = frame.style.width;
  const knobs = [...explorer.querySelectorAll(".explorer-knob")].map((knob) => {
    const value = knob.querySelector("select")?.value ?? knob.querySelector(".explorer-value").textContent;
    return `${knob.querySelector("label").textContent}: ${value}`;
  });
  const figure = explorer.closest("figure");
  figure.classList.add("still");
  figure.querySelector("figcaption").append(
    make("p", "", `One frame of a figure that turns. ${knobs.join("; ")}.`),
  );
  explorer.replaceWith(picture);
}

async function stopAndOpen() {
  await decoded(all(".explorer img:not([hidden])"));
  all(".explorer").forEach(still);
  all(".headerlink, .copybtn, script, colgroup, .toctree-wrapper > .caption").forEach((e) => e.remove());
  all("details").forEach((details) => (details.open = true));
  all("img").forEach((image) => (image.loading = "eager"));
}

/** A link within the book leads to its place in the PDF, whatever file it named. */
function mendLinks() {
  // Pages number their ids alike, so a work gets one of its own.
  all(".citation").forEach((work) => (work.id = `work-${work.id}`));
  for (const link of all("a[href]:not([href^=http])")) {
    const id = link.getAttribute("href").split("#")[1];
    const there = [`work-${id}`, id].find((name) => document.getElementById(name));
    if (there) link.setAttribute("href", `#${there}`);
    else link.removeAttribute("href");
  }
}

/** The pages, an article each, and the list of their headings with room for a number. */
function pagesAndContents() {
  const pages = make("main", "bd-content");
  const contents = make("ol", "contents");
  all("h1, h2, h3, h4").forEach((heading, at) => {
    heading.id = `heading-${at}`;
    const inner = heading.tagName === "H3" && heading.querySelector(".section-number");
    const outer = heading.tagName === "H2" && !heading.closest("#where-to-begin");
    if (at && !inner && !outer) return;
    // As in the book: what its styles say of a page holds for this one alone.
    pages.append(make("article", "bd-article", heading.closest("section")));
    if (!at) return;
    const link = make("a", "", make("span", "", heading.textContent.trim()), make("b", "", "000"));
    link.href = `#${heading.id}`;
    link.dataset.heading = at;
    contents.append(make("li", inner ? "inner" : "outer", link));
  });
  return [pages, make("nav", "", make("p", "title", "Contents"), contents)];
}

function cover({ title, subtitle, author, version, license }) {
  const rights = make("p");
  rights.innerHTML = license;
  const names = [make("p", "title", title), make("p", "subtitle", subtitle)];
  return make("header", "cover", ...names, make("p", "", author), make("p", "", version), rights);
}

/** What is wider than the paper becomes smaller. */
function fit() {
  for (const wide of all("table, math[display=block], .output > pre")) {
    const room = wide.parentElement.clientWidth;
    if (room && wide.scrollWidth > room) wide.style.zoom = room / wide.scrollWidth;
  }
}

window.prepare = async (about) => {
  document.documentElement.dataset.theme = "light";
  document.title = about.title;
  await stopAndOpen();
  mendLinks();
  const [pages, contents] = pagesAndContents();
  document.body.replaceChildren(cover(about), contents, pages);
  fit();
  await document.fonts.ready;
  await decoded([...document.images]);
};

/** Write into the contents on which page each heading stands. */
window.number = (places) => {
  for (const link of document.querySelectorAll(".contents a")) {
    link.querySelector("b").textContent = places[Number(link.dataset.heading)] ?? "";
  }
};

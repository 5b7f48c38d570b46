// Turns the single page of the book into one for paper. What moves on the screen stands still.
async (about) => {
  const make = (tag, name, ...content) => {
    const element = document.createElement(tag);
    if (name) element.className = name;
    element.append(...content);
    return element;
  };
  const article = document.querySelector("article.bd-article");
  const all = (selector) => [...article.querySelectorAll(selector)];
  document.documentElement.dataset.theme = "light";
  document.title = about.title;

  // An explorer shows one frame of its strip, and says at which values of its knobs.
  const still = (explorer) => {
    const frame = explorer.querySelector(".explorer-frame");
    const strip = frame.querySelector("img:not([hidden])");
    const across = strip.naturalWidth / (parseFloat(strip.style.width) / 100);
    const canvas = Object.assign(make("canvas"), { width: across, height: strip.naturalHeight });
    const left = (parseFloat(strip.style.left) / 100) * across;
    canvas.getContext("2d").drawImage(strip, left, 0);
    const picture = Object.assign(make("img"), { src: canvas.toDataURL(), alt: strip.alt });
    picture.style.width = frame.style.width;
    const knobs = [...explorer.querySelectorAll(".explorer-knob")].map((knob) => {
      const menu = knob.querySelector("select");
      const value = menu ? menu.value : knob.querySelector(".explorer-value").textContent;
      return `${knob.querySelector("label").textContent}: ${value}`;
    });
    const caption = make("figcaption", "", `One frame of a figure that turns. ${knobs.join("; ")}.`);
    return make("figure", "still", picture, caption);
  };
  await Promise.all(all(".explorer img:not([hidden])").map((image) => image.decode()));
  all(".explorer").forEach((explorer) => explorer.replaceWith(still(explorer)));

  all(".headerlink, .copybtn, script, colgroup, .toctree-wrapper > .caption").forEach((e) => e.remove());
  all("details").forEach((details) => (details.open = true));
  all("img").forEach((image) => (image.loading = "eager"));
  // Pages number their ids alike, so a work gets one of its own. A link within the book leads to
  // its place in the PDF, whatever file it named.
  all(".citation").forEach((work) => (work.id = `work-${work.id}`));
  for (const link of all("a[href]:not([href^=http])")) {
    const id = link.getAttribute("href").split("#")[1];
    const there = [`work-${id}`, id].find((name) => document.getElementById(name));
    if (there) link.setAttribute("href", `#${there}`);
    else link.removeAttribute("href");
  }

  const headings = all("h1, h2, h3, h4");
  const contents = make("ol", "contents");
  const pages = make("main", "bd-content");
  headings.forEach((heading, at) => {
    heading.id = `heading-${at}`;
    const inner = heading.tagName === "H3" && heading.querySelector(".section-number");
    const outer = heading.tagName === "H2" && !heading.closest("#where-to-begin");
    if (at && !inner && !outer) return;
    // One article a page, as in the book: what its styles say of a page holds for this one alone.
    pages.append(make("article", "bd-article", heading.closest("section")));
    if (!at) return;
    const link = make("a", "", make("span", "", heading.textContent.trim()), make("b", "", "000"));
    link.href = `#${heading.id}`;
    link.dataset.heading = at;
    contents.append(make("li", inner ? "inner" : "outer", link));
  });
  const license = make("p", "license");
  license.innerHTML = about.license;
  const cover = make(
    "header", "cover",
    make("p", "title", about.title), make("p", "subtitle", about.subtitle),
    make("p", "", about.author), make("p", "", about.version), license,
  );
  const list = make("nav", "", make("p", "title", "Contents"), contents);
  document.body.replaceChildren(cover, list, pages);

  // What is wider than the paper becomes smaller.
  for (const wide of pages.querySelectorAll("table, math[display=block], .output > pre")) {
    const room = wide.parentElement.clientWidth;
    if (room && wide.scrollWidth > room) wide.style.zoom = room / wide.scrollWidth;
  }
  window.number = (places) =>
    contents.querySelectorAll("a").forEach((link) => {
      link.querySelector("b").textContent = places[Number(link.dataset.heading)] ?? "";
    });
  await document.fonts.ready;
  await Promise.all([...document.images].map((image) => image.decode().catch(() => {})));
}

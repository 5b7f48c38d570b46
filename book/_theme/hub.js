// Turns the address of a hub into the link by which nbgitpuller opens the book there. The address
// stays in this browser.
{
  const form = document.querySelector("form.hub");
  const { hub, open } = form.elements;
  const shown = form.querySelector("output a");
  const wanted = new URLSearchParams(location.search).get("open");
  if ([...open.options].some((option) => option.value === wanted)) open.value = wanted;
  hub.value = localStorage.getItem("hub") || "";

  const link = () => {
    if (!hub.value || !hub.checkValidity()) return "";
    const { repository, branch } = form.dataset;
    const folder = repository.replace(/\/+$/, "").split("/").pop();
    const query = new URLSearchParams({
      repo: repository,
      branch,
      urlpath: `lab/tree/${folder}/${open.value}`,
    });
    return `${hub.value.replace(/\/+$/, "")}/hub/user-redirect/git-pull?${query}`;
  };
  const show = () => {
    shown.closest("p").hidden = !link();
    shown.textContent = link();
    shown.href = link();
  };
  form.addEventListener("input", show);
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    localStorage.setItem("hub", hub.value);
    location.assign(link());
  });
  show();
}

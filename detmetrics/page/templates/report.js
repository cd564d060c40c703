// A click on a heading sorts: numbers from high to low at first, names from A to Z; what is undefined stays last.
for (const table of document.querySelectorAll("table.sortable")) {
  const body = table.tBodies[0];
  const original = [...body.rows];
  const headings = [...table.tHead.rows[0].cells];
  headings.forEach((heading, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...heading.childNodes);
    heading.append(button);
    const valueOf = (row) => {
      const cell = row.cells[column];
      if (!("value" in cell.dataset)) return cell.textContent;
      return cell.dataset.value === "" ? null : Number(cell.dataset.value);
    };
    const isText = typeof valueOf(original[0] ?? { cells: headings }) === "string";
    button.addEventListener("click", () => {
      const before = heading.getAttribute("aria-sort") ?? (isText ? "descending" : "ascending");
      const direction = before === "ascending" ? "descending" : "ascending";
      const sign = direction === "ascending" ? 1 : -1;
      headings.forEach((other) => other.removeAttribute("aria-sort"));
      heading.setAttribute("aria-sort", direction);
      const compare = (a, b) => {
        const [x, y] = [valueOf(a), valueOf(b)];
        if (x === null || y === null) return (x === null) - (y === null);
        return sign * (isText ? x.localeCompare(y, "en", { numeric: true }) : x - y);
      };
      body.append(...[...original].sort(compare));
    });
  });
}

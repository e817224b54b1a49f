// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
// The texts and drawings of a page whose contrast is below WCAG 2.2 AA, each with its contrast.
(() => {
  const parts = (color) => color.match(/[\d.]+/g).map(Number);
  const light = (color) => {
    const [r, g, b] = parts(color).map((part) => {
      const share = part / 255;
      return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const contrast = (one, other) => {
    const [low, high] = [light(one), light(other)].sort((a, b) => a - b);
    return (high + 0.05) / (low + 0.05);
  };
  const ground = (element) => {
    for (let one = element; one; one = one.parentElement) {
      const color = getComputedStyle(one).backgroundColor;
      const alpha = parts(color)[3];
      if (alpha === undefined || alpha === 1) return color;
    }
    return matchMedia("(prefers-color-scheme: dark)").matches ? "rgb(18, 18, 18)" : "rgb(255, 255, 255)";
  };
  const found = new Set();
  const look = (element, color, least, words) => {
    const value = contrast(color, ground(element));
    if (value < least) found.add(`${value.toFixed(2)} ${element.localName}: ${words.slice(0, 40)}`);
  };
  const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (texts.nextNode()) {
    const element = texts.currentNode.parentElement;
    const words = texts.currentNode.textContent.trim();
    if (words && !element.closest("style")) look(element, getComputedStyle(element).color, 4.5, words);
  }
  for (const path of document.querySelectorAll("svg path:not(.axis):not(.skipped)")) {
    const style = getComputedStyle(path);
    look(path, style.fill === "none" ? style.stroke : style.fill, 3, path.getAttribute("class"));
  }
  return [...found];
})()

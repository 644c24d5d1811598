// Typesets equations before anybody reads them. In: a JSON list of [TeX, is it displayed]. Out: JSON with one piece of
// HTML for each, in order, and the one style sheet that all of them need. A TeX error ends the program.
const { mathjax } = require("mathjax-full/js/mathjax.js");
const { TeX } = require("mathjax-full/js/input/tex.js");
const { CHTML } = require("mathjax-full/js/output/chtml.js");
const { liteAdaptor } = require("mathjax-full/js/adaptors/liteAdaptor.js");
const { RegisterHTMLHandler } = require("mathjax-full/js/handlers/html.js");
const { AssistiveMmlHandler } = require("mathjax-full/js/a11y/assistive-mml.js");
for (const name of ["base/Base", "ams/Ams"]) require(`mathjax-full/js/input/tex/${name}Configuration.js`);

const adaptor = liteAdaptor();
AssistiveMmlHandler(RegisterHTMLHandler(adaptor));
const page = mathjax.document("", {
  InputJax: new TeX({
    packages: ["base", "ams"],
    formatError: (_, error) => { throw error; },
  }),
  // The scale fits the height of the x to the text's font, which only a browser could measure.
  OutputJax: new CHTML({ fontURL: "mathjax", scale: 1.2, mtextInheritFont: true }),
});

const equations = JSON.parse(require("fs").readFileSync(0, "utf8"));
const html = equations.map(([tex, display]) => {
  try {
    return adaptor.outerHTML(page.convert(tex, { display, em: 16, ex: 8, containerWidth: 80 * 16 }));
  } catch (error) {
    console.error(`${error.message}\n  in ${tex}`);
    process.exit(1);
  }
});
process.stdout.write(JSON.stringify({ html, css: adaptor.textContent(page.outputJax.styleSheet(page)) }));

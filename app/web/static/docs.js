// Starts the vendored API documentation. A file of its own, because the page's policy allows no inline script.
"use strict";
window.addEventListener("DOMContentLoaded", () => {
  window.SwaggerUIBundle({
    url: document.getElementById("documentation").dataset.openapi,
    domNode: document.getElementById("documentation"),
    presets: [window.SwaggerUIBundle.presets.apis],
    layout: "BaseLayout",
    deepLinking: true,
    docExpansion: "list",
    defaultModelsExpandDepth: 0,
    // Null: the default would send this installation's address to a validator on the internet.
    validatorUrl: null,
    // A key typed here lives in this page only.
    persistAuthorization: false,
  });
});

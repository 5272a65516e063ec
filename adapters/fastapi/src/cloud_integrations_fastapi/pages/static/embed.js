// <cloud-integrations-connect src="https://…/connect/start?link=…" mode="redirect|popup|iframe"><button>Connect</button></cloud-integrations-connect>
// Opens a connect session and fires `connected`, `failed` and `closed`, with ids in `detail` and never a secret.
"use strict";
customElements.define("cloud-integrations-connect", class extends HTMLElement {
  #shown = null; // the window with the pages
  #frame = null;
  #watch = 0;
  #listens = null;
  connectedCallback() {
    this.#listens = new AbortController();
    const {signal} = this.#listens;
    addEventListener("message", (event) => this.#hear(event), {signal});
    this.addEventListener("click", (event) => { if (!event.defaultPrevented) this.open(); }, {signal});
    // Without a button of the host's, a frame is there at once.
    if (this.getAttribute("mode") === "iframe" && !this.firstElementChild) this.open();
  }
  disconnectedCallback() {
    this.#listens.abort();
    this.#end();
  }
  // Opens the pages at `src`, or shows again what is open.
  open() {
    const src = new URL(this.getAttribute("src"), document.baseURI), mode = this.getAttribute("mode");
    if (this.#frame) return this.#frame.focus();
    if (mode === "iframe") {
      this.#frame = document.createElement("iframe");
      const looks = {title: this.getAttribute("label") || "Connect", width: "100%", height: "704", frameBorder: "0"};
      Object.assign(this.#frame, {src: src.href, allow: "clipboard-write", ...looks});
      this.append(this.#frame);
      this.#shown = this.#frame.contentWindow;
    } else if (mode === "popup") {
      if (this.#shown && !this.#shown.closed) return this.#shown.focus();
      this.#shown = open(src, "_blank", "popup,width=560,height=760");
      if (!this.#shown) return location.assign(src); // the browser allows no windows
      clearInterval(this.#watch);
      this.#watch = setInterval(() => { if (this.#shown.closed) this.#close(); }, 500);
    } else location.assign(src);
  }
  // Takes the frame away, or closes the window.
  close() { if (this.#shown) this.#close(); }
  #close(detail = {}) {
    this.#end();
    this.#fire("closed", detail);
  }
  #end() {
    clearInterval(this.#watch);
    this.#frame?.remove();
    if (!this.#frame) this.#shown?.close();
    this.#frame = this.#shown = null;
  }
  #hear({data, origin, source}) {
    if (!source || source !== this.#shown || origin !== new URL(this.getAttribute("src"), document.baseURI).origin) return;
    const {type, ...detail} = data ?? {};
    if (type === "cloud-integrations:ready") source.postMessage({type: "cloud-integrations:open"}, origin);
    else if (type === "cloud-integrations:closed") this.#close(detail);
    else if (type === "cloud-integrations:connected" || type === "cloud-integrations:failed") this.#fire(type.slice(19), detail);
  }
  #fire(type, detail) { this.dispatchEvent(new CustomEvent(type, {bubbles: true, detail})); }
});

// 텍스트는 나무입니다: 마디는 토큰이고, 다른 후보를 고르면 거기서 가지가 갈라집니다.

export class Tree {
  root = { children: new Map(), step: null };

  /** parent 다음의 토큰. 있으면 그 마디이고, 없으면 새로 만듭니다. */
  grow(parent, { id, text }) {
    if (!parent.children.has(id)) {
      parent.children.set(id, { id, text, parent, step: null, children: new Map() });
    }
    parent.last = parent.children.get(id);
    return parent.last;
  }

  /** node를 없앱니다. 마지막에 본 것은 sibling이 됩니다. */
  drop(node, sibling) {
    node.parent.children.delete(node.id);
    node.parent.last = sibling;
  }

  /** 뿌리에서 node까지의 마디들 */
  path(node) {
    return node === this.root ? [] : [...this.path(node.parent), node];
  }

  /** node에서, 마디마다 마지막에 본 자식을 따라 내려간 끝. 여기까지의 길도 기억합니다. */
  follow(node) {
    for (let each = node; each !== this.root; each = each.parent) each.parent.last = each;
    while (node.last) node = node.last;
    return node;
  }

  /** 가지마다의 끝 */
  leaves(node = this.root) {
    const children = [...node.children.values()];
    return children.length ? children.flatMap((child) => this.leaves(child)) : [node];
  }
}

/** 되돌리기와 다시 하기: 무엇이든 지나온 상태의 줄 */
export class Undo {
  #before = [];
  #after = [];

  constructor(show) {
    this.show = show;
  }

  /** 지금 상태. 그다음에 있던 것은 잊습니다. */
  add(state) {
    if (this.now !== undefined) this.#before.push(this.now);
    this.now = state;
    this.#after = [];
  }

  get canUndo() {
    return this.#before.length > 0;
  }

  get canRedo() {
    return this.#after.length > 0;
  }

  undo() {
    this.#move(this.#before, this.#after);
  }

  redo() {
    this.#move(this.#after, this.#before);
  }

  #move(from, to) {
    if (!from.length) return;
    to.push(this.now);
    this.now = from.pop();
    this.show(this.now);
  }
}

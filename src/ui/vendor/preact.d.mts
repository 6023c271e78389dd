export type Child = any;
export interface VNode { type: any; props: any; key: any }
export class Component<P = {}, S = {}> {
  props: P;
  shouldComponentUpdate?(next: P): boolean;
}
export function h(type: any, props?: any, ...children: Child[]): VNode;
export function render(node: VNode | null, parent: Element): void;
